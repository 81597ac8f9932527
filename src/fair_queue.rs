//! A queue that is fair between groups, such as namespaces: the groups take turns, one item each. Before the n-th item
//! of a group, at most n items of each other group leave the queue, however many wait there. Within a group, items
//! leave in the order in which they came. Items go in with their group, the next item comes out. Pure, no client.
//!
//! Within its group an item waits in a line, such as that of a connection. A line that may not go on is passed over as a
//! whole, so that the work of one call does not grow with the number of items.

use std::collections::{BTreeMap, HashMap};

/// The waiting items, group by group.
#[derive(Clone, Debug)]
pub struct FairQueue<T, L = ()> {
    groups: HashMap<String, Group<T, L>>,
    /// The names of the groups in the order of their turns. No group is empty.
    order: BTreeMap<u64, String>,
    last_turn: u64,
    last_place: u64,
}

#[derive(Clone, Debug)]
struct Group<T, L> {
    turn: u64,
    /// Few: in a namespace, the connections with which objects wait.
    lines: Vec<(L, BTreeMap<u64, T>)>,
}

/// The place of an item: those of its group that came before have lower ones.
pub type Place = u64;

impl<T, L> Default for FairQueue<T, L> {
    fn default() -> Self {
        Self { groups: HashMap::new(), order: BTreeMap::new(), last_turn: 0, last_place: 0 }
    }
}

impl<T> FairQueue<T> {
    /// Adds `item` as the last of its group.
    pub fn push(&mut self, group: &str, item: T) -> Place {
        self.push_in_line(group, (), item)
    }

    /// Removes and returns the next item.
    pub fn pop(&mut self) -> Option<T> {
        self.pop_where(|()| true)
    }
}

impl<T, L: Clone + PartialEq> FairQueue<T, L> {
    /// Adds `item` as the last of its group, in this line of it.
    pub fn push_in_line(&mut self, group: &str, line: L, item: T) -> Place {
        self.last_place = self.last_place.wrapping_add(1);
        let place = self.last_place;
        if !self.groups.contains_key(group) {
            let turn = self.next_turn();
            self.order.insert(turn, group.to_owned());
            self.groups.insert(group.to_owned(), Group { turn, lines: Vec::new() });
        }
        if let Some(Group { lines, .. }) = self.groups.get_mut(group) {
            match lines.iter_mut().find(|(known, _)| *known == line) {
                Some((_, items)) => drop(items.insert(place, item)),
                None => lines.push((line, BTreeMap::from([(place, item)]))),
            }
        }
        place
    }

    /// Removes and returns the next item whose line `may` go on. The items before it keep their places, and its group
    /// goes to the end.
    pub fn pop_where(&mut self, mut may: impl FnMut(&L) -> bool) -> Option<T> {
        let found = self.order.iter().find_map(|(turn, group)| {
            let lines = &self.groups.get(group)?.lines;
            let heads = lines.iter().filter_map(|(line, items)| Some((items.first_key_value()?.0, line)));
            let (place, line) = heads.filter(|(_, line)| may(line)).min_by_key(|(place, _)| **place)?;
            Some((*turn, group.clone(), line.clone(), *place))
        });
        let (turn, group, line, place) = found?;
        let item = self.remove(&group, &line, place);
        if let Some(name) = self.order.remove(&turn) {
            let turn = self.next_turn();
            self.order.insert(turn, name);
            if let Some(group) = self.groups.get_mut(&group) {
                group.turn = turn;
            }
        }
        item
    }

    /// Removes and returns the item of `group` in this line and place.
    pub fn remove(&mut self, group: &str, line: &L, place: Place) -> Option<T> {
        let Group { turn, lines } = self.groups.get_mut(group)?;
        let index = lines.iter().position(|(known, _)| known == line)?;
        let (_, items) = lines.get_mut(index)?;
        let item = items.remove(&place)?;
        if items.is_empty() {
            lines.swap_remove(index);
        }
        if lines.is_empty() {
            self.order.remove(turn);
            self.groups.remove(group);
        }
        Some(item)
    }

    /// True if nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The lines in which something waits, group by group.
    pub fn lines(&self) -> impl Iterator<Item = &L> {
        self.groups.values().flat_map(|group| group.lines.iter().map(|(line, _)| line))
    }

    /// All items.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.groups.values().flat_map(|group| group.lines.iter().flat_map(|(_, items)| items.values()))
    }

    /// The number of items that come before the one of `group` in this place. Walks over all groups, and over the items
    /// before it in its own.
    #[must_use]
    pub fn before(&self, group: &str, place: Place) -> usize {
        let of_group = |group: &Group<T, L>| group.lines.iter().map(|(_, items)| items.len()).sum::<usize>();
        let Some(own) = self.groups.get(group) else { return 0 };
        let index: usize = own.lines.iter().map(|(_, items)| items.range(..place).count()).sum();
        let others = self.groups.values().filter(|other| other.turn != own.turn);
        let before = others.map(|other| {
            let most = if other.turn < own.turn { index.saturating_add(1) } else { index };
            of_group(other).min(most)
        });
        before.sum::<usize>().saturating_add(index)
    }

    const fn next_turn(&mut self) -> u64 {
        self.last_turn = self.last_turn.wrapping_add(1);
        self.last_turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(groups: &[(&str, std::ops::Range<u32>)]) -> FairQueue<u32> {
        let mut queue = FairQueue::default();
        for (group, items) in groups {
            for item in items.clone() {
                queue.push(group, item);
            }
        }
        queue
    }

    #[test]
    fn one_of_a_small_group_waits_for_one_of_each_other_group_and_not_for_all_of_a_large_one() {
        let mut queue = queue(&[("large", 0..9900), ("small", 10_000..10_001), ("third", 20_000..20_002)]);
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order[..6], [0, 10_000, 20_000, 1, 20_001, 2]);
        assert_eq!(order.len(), 9903);
        assert!(queue.is_empty());
    }

    #[test]
    fn how_many_come_before_one_is_how_many_are_taken_before_it() {
        for wanted in (1..5)
            .map(|item| ("a", item))
            .chain((10..12).map(|item| ("b", item)))
            .chain((20..29).map(|item| ("c", item)))
        {
            let (mut queue, mut places) = (FairQueue::default(), HashMap::new());
            for (group, items) in [("a", 0..5), ("b", 10..12), ("c", 20..29)] {
                for item in items {
                    places.insert(item, queue.push(group, item));
                }
            }
            assert_eq!(queue.pop(), Some(0));
            let (group, wanted) = wanted;
            let before = queue.before(group, places[&wanted]);
            let taken = std::iter::from_fn(|| queue.pop()).position(|item| item == wanted);
            assert_eq!(taken, Some(before), "{wanted}");
        }
    }

    #[test]
    fn those_who_left_are_not_waited_for() {
        let mut queue = FairQueue::default();
        let places: Vec<Place> = (0..3).map(|item| queue.push("a", item)).collect();
        let alone = queue.push("b", 10);
        assert_eq!((queue.remove("a", &(), places[0]), queue.remove("b", &(), alone)), (Some(0), Some(10)));
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(1), Some(2), None));
        queue.push("b", 7);
        assert_eq!((queue.remove("b", &(), alone), queue.pop()), (None, Some(7)));
    }

    #[test]
    fn a_line_that_may_not_go_on_keeps_its_place_and_those_of_other_lines_go_in_their_order() {
        let mut queue = FairQueue::default();
        for (line, item) in [("blocked", 0), ("free", 1), ("blocked", 2), ("other", 3), ("free", 4)] {
            queue.push_in_line("a", line, item);
        }
        queue.push_in_line("b", "blocked", 10);
        let mut asked = 0;
        let mut next = |queue: &mut FairQueue<i32, &str>| {
            queue.pop_where(|line| {
                asked += 1;
                *line != "blocked"
            })
        };
        assert_eq!(
            [next(&mut queue), next(&mut queue), next(&mut queue), next(&mut queue)],
            [Some(1), Some(3), Some(4), None]
        );
        assert!(asked <= 16, "each line is asked about once, whoever waits in it: {asked}");
        assert_eq!(std::iter::from_fn(|| queue.pop_where(|_| true)).collect::<Vec<_>>(), [10, 0, 2]);
    }
}
