//! probe
use quorate_sim::*;
#[test]
fn probe() {
    let seconds: u64 = std::env::var("SECS").unwrap().parse().unwrap();
    let ops: u64 = std::env::var("OPS").unwrap().parse().unwrap();
    let gap: u64 = std::env::var("GAP").unwrap().parse().unwrap();
    let first: u64 = std::env::var("FIRST").unwrap().parse().unwrap();
    let n: u64 = std::env::var("N").unwrap().parse().unwrap();
    let prof: Profile = std::env::var("PROF").unwrap().parse().unwrap();
    let do_shrink = std::env::var("SHRINK").is_ok();
    for seed in first..first+n {
        let mut s = Schedule::draw(&prof, seed, Some(seconds * 1_000_000));
        s.settings.wiped_return = true;
        s.settings.operations = ops;
        let mut at = gap;
        let mut m = 0;
        while at < s.settings.duration {
            s.faults.push(Fault { at, what: What::Wipe { member: 1 + m % s.settings.members } });
            m += 2;
            at += gap;
        }
        s.faults.sort_by_key(|f| f.at);
        let o = run(&s);
        if let Some(f) = &o.failure {
            println!("seed {seed}: {} faults, {}: {} at {} event {}", s.faults.len(), f.checker, f.message.lines().next().unwrap(), f.at, f.event);
            if do_shrink {
                let mut last = None;
                let r = shrink(&s, f, 400, &mut |p| { if std::env::var("LOUD").is_ok() { println!("{p:?}") } last = Some(*p); });
                let rf = r.failure.clone().unwrap();
                println!("   -> {} faults, event {}, {} runs {} {:?}", r.schedule.faults.len(), rf.event, r.runs, r.is_smallest, rf.message.lines().next());
                if std::env::var("SHOW").is_ok() { let mut x = r.schedule.clone(); x.recording=None; println!("{}", x.to_text()); }
            }
        } else { println!("seed {seed}: passes, {} faults {} events", s.faults.len(), o.events) }
    }
}
