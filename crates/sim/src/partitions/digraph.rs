//! Who hears whom: a directed graph of members.

use std::fmt;

/// Which member hears which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Digraph {
    pub(super) members: usize,
    /// A bit for each pair of who is heard by whom.
    arcs: u64,
}

impl Digraph {
    pub(super) fn of(members: usize, mut is_open: impl FnMut(usize, usize) -> bool) -> Self {
        let mut digraph = Self { members, arcs: 0 };
        for (from, to) in digraph.pairs() {
            if is_open(from, to) {
                digraph.open(from, to);
            }
        }
        digraph
    }

    /// The digraph that a text says, such as `1-2 1>3`: 1 and 2 hear each other, and 3 hears 1.
    pub(super) fn parse(members: usize, text: &str) -> Self {
        let mut digraph = Self { members, arcs: 0 };
        for word in text.split_whitespace() {
            let (one, other) = word.split_once(['-', '>']).expect("two members and a link");
            let place = |name: &str| name.parse::<usize>().expect("a member's number") - 1;
            let (one, other) = (place(one), place(other));
            digraph.open(one, other);
            if word.contains('-') {
                digraph.open(other, one);
            }
        }
        digraph
    }

    fn open(&mut self, from: usize, to: usize) {
        assert!(from != to && from < self.members && to < self.members, "{from} to {to}");
        self.arcs |= 1 << (from * self.members + to);
    }

    pub(super) fn is_open(self, from: usize, to: usize) -> bool {
        self.arcs >> (from * self.members + to) & 1 == 1
    }

    pub(super) fn is_two_way(self, one: usize, other: usize) -> bool {
        self.is_open(one, other) && self.is_open(other, one)
    }

    pub(super) fn pairs(self) -> impl Iterator<Item = (usize, usize)> {
        let members = self.members;
        let all = (0..members).flat_map(move |from| (0..members).map(move |to| (from, to)));
        all.filter(|(from, to)| from != to)
    }

    pub(super) fn quorum(self) -> usize {
        self.members / 2 + 1
    }

    /// Whether some majority is connected among itself, in both directions.
    pub(super) fn has_quorum(self) -> bool {
        (0_u32..1 << self.members).any(|set| {
            let is_in = |member: usize| set >> member & 1 == 1;
            set.count_ones() as usize >= self.quorum()
                && self
                    .pairs()
                    .all(|(from, to)| !is_in(from) || !is_in(to) || self.is_open(from, to))
        })
    }

    /// Whether a member is connected to a majority, in both directions: it could lead.
    pub(super) fn is_hub(self, member: usize) -> bool {
        let others = (0..self.members).filter(|other| *other != member);
        others.filter(|other| self.is_two_way(member, *other)).count() + 1 >= self.quorum()
    }

    /// Whether some member could lead.
    pub(super) fn has_hub(self) -> bool {
        (0..self.members).any(|member| self.is_hub(member))
    }

    /// The same with other names: the member at `place` is called `names[place]`.
    pub(super) fn renamed(self, names: &[usize]) -> Self {
        let mut renamed = Self { arcs: 0, ..self };
        for (from, to) in self.pairs().filter(|(from, to)| self.is_open(*from, *to)) {
            renamed.open(names[from], names[to]);
        }
        renamed
    }

    /// The same for all digraphs that differ in names only.
    pub(super) fn class(self) -> Self {
        let all = orders(self.members);
        all.iter().map(|names| self.renamed(names)).min().expect("there are orders")
    }

    /// The links outside, with members counted from 1.
    pub(super) fn cut(self) -> Vec<(usize, usize)> {
        let cut = self.pairs().filter(|(from, to)| !self.is_open(*from, *to));
        cut.map(|(from, to)| (from + 1, to + 1)).collect()
    }
}

impl fmt::Display for Digraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for (from, to) in self.pairs().filter(|(from, to)| self.is_open(*from, *to)) {
            let is_two_way = self.is_open(to, from);
            if !is_two_way || from < to {
                let link = if is_two_way { '-' } else { '>' };
                write!(f, "{space}{}{link}{}", from + 1, to + 1)?;
                space = " ";
            }
        }
        if self.arcs == 0 { f.write_str("no links") } else { Ok(()) }
    }
}

/// All orders of so many things.
pub(super) fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(fewer) = count.checked_sub(1) else { return vec![Vec::new()] };
    let insert = |order: Vec<usize>| {
        (0..count).map(move |place| {
            let mut order = order.clone();
            order.insert(place, fewer);
            order
        })
    };
    orders(fewer).into_iter().flat_map(insert).collect()
}
