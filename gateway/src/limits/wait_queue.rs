//! A bounded queue in order of priority. Pure: it knows neither time nor tasks.

use std::collections::VecDeque;

use crate::config::Priority;

/// Those who wait, the lines in the order of [`Priority`], within one priority the oldest first.
///
/// A full queue refuses the newcomer: whoever is refused without having waited costs next to nothing, and in overload
/// most are refused. Newest first would serve some sooner, but send everyone else away after a wait, with a timer and a
/// wake-up each.
#[derive(Debug)]
pub(super) struct WaitQueue<T> {
    lines: [VecDeque<(u64, T)>; 3],
    next: u64,
}

/// What became of somebody who wanted to line up.
pub(super) enum Pushed<T> {
    /// In line under this number; whoever had to leave for it is here too.
    Waits(u64, Option<T>),
    /// The queue is full of those who go first.
    Full,
}

impl<T> Default for WaitQueue<T> {
    fn default() -> Self {
        Self { lines: Default::default(), next: 0 }
    }
}

impl<T> WaitQueue<T> {
    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.lines.iter().map(VecDeque::len).sum()
    }

    /// Lines up. A full queue makes room by sending away the last one of a lower priority, if there is one.
    pub(super) fn push(&mut self, priority: Priority, length: usize, waiter: T) -> Pushed<T> {
        let mut evicted = None;
        if self.len() >= length {
            let lower = self.lines.iter_mut().skip(priority as usize + 1).rev();
            match lower.filter(|line| length > 0 && !line.is_empty()).find_map(VecDeque::pop_back) {
                Some((_, last)) => evicted = Some(last),
                None => return Pushed::Full,
            }
        }
        let number = self.next;
        self.next += 1;
        if let Some(line) = self.lines.get_mut(priority as usize) {
            line.push_back((number, waiter));
        }
        Pushed::Waits(number, evicted)
    }

    /// Who is served next.
    pub(super) fn pop(&mut self) -> Option<T> {
        self.lines.iter_mut().find_map(VecDeque::pop_front).map(|(_, waiter)| waiter)
    }

    /// Leaves the queue; None when it was popped or sent away before.
    pub(super) fn remove(&mut self, priority: Priority, number: u64) -> Option<T> {
        let line = self.lines.get_mut(priority as usize)?;
        let at = line.binary_search_by_key(&number, |(known, _)| *known).ok()?;
        line.remove(at).map(|(_, waiter)| waiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut WaitQueue<u32>, priority: Priority, waiter: u32) -> Option<Option<u32>> {
        match queue.push(priority, 3, waiter) {
            Pushed::Waits(_, evicted) => Some(evicted),
            Pushed::Full => None,
        }
    }

    #[test]
    fn high_priority_goes_first_and_within_one_priority_the_oldest() {
        let mut queue = WaitQueue::default();
        push(&mut queue, Priority::Low, 1);
        push(&mut queue, Priority::High, 2);
        push(&mut queue, Priority::High, 3);
        let order: Vec<u32> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, [2, 3, 1]);
    }

    #[test]
    fn a_full_queue_refuses_a_newcomer_unless_somebody_of_lower_priority_waits() {
        let mut queue = WaitQueue::default();
        push(&mut queue, Priority::Normal, 1);
        push(&mut queue, Priority::Low, 2);
        push(&mut queue, Priority::Low, 3);
        assert_eq!(push(&mut queue, Priority::High, 4), Some(Some(3)));
        assert_eq!(push(&mut queue, Priority::Normal, 5), Some(Some(2)));
        assert_eq!(push(&mut queue, Priority::Low, 6), None, "all others go before it");
        assert_eq!(push(&mut queue, Priority::Normal, 7), None, "it came last");
        assert_eq!(push(&mut queue, Priority::High, 8), Some(Some(5)));
    }

    #[test]
    fn whoever_gives_up_is_no_longer_in_line() {
        let mut queue = WaitQueue::default();
        let Pushed::Waits(number, _) = queue.push(Priority::Normal, 2, 1) else { panic!("it is empty") };
        push(&mut queue, Priority::Normal, 2);
        assert_eq!(queue.remove(Priority::Normal, number), Some(1));
        assert_eq!(queue.remove(Priority::Normal, number), None);
        assert_eq!((queue.pop(), queue.pop()), (Some(2), None));
    }

    #[test]
    fn a_queue_of_length_zero_takes_nobody() {
        let mut queue = WaitQueue::default();
        assert!(matches!(queue.push(Priority::High, 0, 1), Pushed::Full));
        assert_eq!(queue.len(), 0);
    }
}
