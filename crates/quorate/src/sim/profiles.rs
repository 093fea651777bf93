//! `quorate sim profiles`: what can be run, and who looks at it.

use quorate_sim::{Checker, Kind, Profile};

const HEAD: &str = "\
Profiles, for quorate sim run --profile NAME. Those named after a kind of fault have that kind only,
as frequent as it may be.

";

/// All of them.
pub(super) fn text() -> String {
    let mut text = HEAD.to_owned();
    let profiles = [Profile::Standard, Profile::Mixed, Profile::Calm, Profile::Storm];
    for profile in profiles {
        text += &line(&profile.name(), about(profile));
    }
    text += "\nKinds of faults:\n\n";
    for kind in Kind::ALL {
        text += &line(kind.name(), kind.about());
    }
    text += "\nCheckers, which end a run that breaks what they look after:\n\n";
    for checker in Checker::ALL {
        text += &line(checker.name(), checker.about());
    }
    text
}

fn line(name: &str, about: &str) -> String {
    format!("  {name:<22} {}\n", about.trim())
}

const fn about(profile: Profile) -> &'static str {
    match profile {
        Profile::Standard => "five members, any kinds of faults, each at any strength",
        Profile::Mixed => "one to seven members, else as standard",
        Profile::Calm => "no faults at all",
        Profile::Storm => "all kinds of faults, all as frequent as they may be",
        Profile::Only(kind) => kind.about(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_is_taken_is_shown() {
        let text = text();
        for name in Profile::names() {
            assert!(text.contains(&format!("\n  {name} ")), "{name} is missing in:\n{text}");
        }
    }
}
