//! A queue that is fair between groups, such as namespaces: the groups take turns, one item each. Before the n-th item
//! of a group, at most n items of each other group leave the queue, however many wait there. Within a group, items
//! leave in the order in which they came. Items go in with their group, the next item comes out. Pure, no client.

use std::collections::VecDeque;

/// The waiting items, group by group.
#[derive(Clone, Debug)]
pub struct FairQueue<T> {
    /// The group in front has the next turn. No group is empty.
    groups: VecDeque<(String, VecDeque<T>)>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self { groups: VecDeque::new() }
    }
}

impl<T> FairQueue<T> {
    /// Adds `item` as the last of its group. Returns the number of items that come before it.
    pub fn push(&mut self, group: &str, item: T) -> usize {
        let place = self.groups.iter().position(|(name, _)| name == group).unwrap_or(self.groups.len());
        if place == self.groups.len() {
            self.groups.push_back((group.to_owned(), VecDeque::new()));
        }
        let Some((_, items)) = self.groups.get_mut(place) else { return 0 };
        items.push_back(item);
        let index = items.len().saturating_sub(1);
        self.before(place, index)
    }

    /// Removes and returns the next item for which `may` is true. The items before it keep their places, and its group
    /// goes to the end.
    pub fn pop_where(&mut self, mut may: impl FnMut(&T) -> bool) -> Option<T> {
        let found = self.groups.iter().enumerate().find_map(|(place, (_, items))| {
            let index = items.iter().position(&mut may)?;
            Some((place, index))
        });
        let (place, index) = found?;
        let (group, mut items) = self.groups.remove(place)?;
        let item = items.remove(index);
        if !items.is_empty() {
            self.groups.push_back((group, items));
        }
        item
    }

    /// Removes and returns the next item.
    pub fn pop(&mut self) -> Option<T> {
        let (group, mut items) = self.groups.pop_front()?;
        let item = items.pop_front();
        if !items.is_empty() {
            self.groups.push_back((group, items));
        }
        item
    }

    /// True if nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// All items, group by group.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.groups.iter().flat_map(|(_, items)| items)
    }

    /// Keeps the items for which `stays` is true.
    pub fn retain(&mut self, stays: impl Fn(&T) -> bool) {
        for (_, items) in &mut self.groups {
            items.retain(&stays);
        }
        self.groups.retain(|(_, items)| !items.is_empty());
    }

    /// The item of `group` for which `is` is true, and the number of items that come before it.
    pub fn find(&self, group: &str, is: impl Fn(&T) -> bool) -> Option<(&T, usize)> {
        let place = self.groups.iter().position(|(name, _)| name == group)?;
        let (_, items) = self.groups.get(place)?;
        let index = items.iter().position(is)?;
        Some((items.get(index)?, self.before(place, index)))
    }

    /// The number of items that come before the one with this index in the group at this place.
    fn before(&self, place: usize, index: usize) -> usize {
        let before = self.groups.iter().enumerate().map(|(other, (_, items))| match other {
            other if other < place => items.len().min(index.saturating_add(1)),
            _ => items.len().min(index),
        });
        before.sum()
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
        let groups = [("a", 0..5), ("b", 10..12), ("c", 20..29)];
        for (group, items) in groups.clone() {
            for wanted in items {
                let mut queue = queue(&groups);
                assert_eq!(queue.pop(), Some(0));
                let Some((_, before)) = queue.find(group, |item| *item == wanted) else {
                    assert_eq!(wanted, 0);
                    continue;
                };
                let taken = std::iter::from_fn(|| queue.pop()).position(|item| item == wanted);
                assert_eq!(taken, Some(before), "{wanted}");
            }
        }
    }

    #[test]
    fn those_who_left_are_not_waited_for() {
        let mut queue = queue(&[("a", 0..3), ("b", 10..11)]);
        queue.retain(|item| *item != 0 && *item != 10);
        assert_eq!((queue.pop(), queue.pop(), queue.pop()), (Some(1), Some(2), None));
        queue.push("b", 7);
        assert_eq!(queue.pop(), Some(7));
    }
}
