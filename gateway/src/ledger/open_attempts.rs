//! Attempts of a log whose end has not been read yet.

use std::collections::HashMap;

use store::LedgerEntry;

use super::tail::Event;

/// The open attempts of one log, by number.
#[derive(Debug)]
pub(super) struct OpenAttempts {
    /// The log's name, with which the ids of its attempts begin.
    log: String,
    open: HashMap<u64, Open>,
}

#[derive(Debug)]
struct Open {
    entry: LedgerEntry,
    /// Where the log says so; None once the store does.
    segment: Option<u64>,
}

/// An attempt that has come to its end.
#[derive(Debug, PartialEq)]
pub(super) struct Ended {
    pub entry: LedgerEntry,
    /// The store lists its reservation.
    pub is_stored: bool,
}

impl OpenAttempts {
    /// Of a log, with the reservations of it that the store lists.
    pub(super) fn new(log: &str, stored: Vec<LedgerEntry>) -> Self {
        let mut open = HashMap::new();
        for entry in stored {
            let number = entry.attempt_id.strip_prefix(log).and_then(|rest| rest.strip_prefix('-'));
            if let Some(number) = number.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
                open.insert(number, Open { entry, segment: None });
            }
        }
        Self { log: log.to_owned(), open }
    }

    /// Takes what this segment says; answers the attempt that it ends. An end without a reservation is the second one of
    /// its attempt: reservations are written before an attempt is sent.
    pub(super) fn read(&mut self, event: Event, segment: u64) -> Option<Ended> {
        match event {
            Event::Opened(number, mut entry) => {
                entry.attempt_id = format!("{}-{number:x}", self.log);
                self.open.entry(number).or_insert(Open { entry, segment: Some(segment) });
                None
            }
            Event::Ended(number, end) => {
                let Open { mut entry, segment } = self.open.remove(&number)?;
                (entry.at_ms, entry.state, entry.outcome) = (end.at_ms, end.state, end.outcome);
                (entry.counts_request, entry.usage, entry.cost) = (end.counts_request, end.usage, end.cost);
                (entry.kind, entry.counted, entry.saved) = (end.kind, end.counted, end.saved);
                Some(Ended { entry, is_stored: segment.is_none() })
            }
        }
    }

    /// The reservations that only the log knows up to this segment. From here on the store lists them.
    pub(super) fn store_up_to(&mut self, segment: u64) -> Vec<LedgerEntry> {
        let mut stored = Vec::new();
        for open in self.open.values_mut().filter(|open| open.segment.is_some_and(|at| at <= segment)) {
            open.segment = None;
            stored.push(open.entry.clone());
        }
        stored
    }
}

#[cfg(test)]
mod tests {
    use domain::Micros;
    use store::State;

    use super::*;
    use crate::ledger::line::Ending;

    fn opened(number: u64) -> Event {
        Event::Opened(number, LedgerEntry { reserved: Micros(5), ..LedgerEntry::default() })
    }

    fn ended(number: u64) -> Event {
        Event::Ended(number, Ending { state: State::Settled, cost: Micros(3), ..Ending::default() })
    }

    #[test]
    fn an_attempt_ends_once() {
        let mut open = OpenAttempts::new("log", vec![]);
        assert_eq!(open.read(opened(26), 0), None);
        let first = open.read(ended(26), 0).unwrap();
        assert_eq!((first.entry.attempt_id.as_str(), first.entry.cost), ("log-1a", Micros(3)));
        assert_eq!((first.entry.reserved, first.is_stored), (Micros(5), false));
        assert_eq!(open.read(ended(26), 0), None);
    }

    #[test]
    fn what_the_log_forgets_is_stored_once_and_known_when_it_ends() {
        let mut open = OpenAttempts::new("log", vec![]);
        open.read(opened(1), 0);
        open.read(opened(2), 1);
        assert_eq!(open.store_up_to(0).len(), 1);
        assert_eq!(open.store_up_to(0).len(), 0);
        assert!(open.read(ended(1), 1).unwrap().is_stored);
        let rest = open.store_up_to(1);
        let mut next = OpenAttempts::new("log", rest);
        next.read(opened(2), 1);
        assert!(next.read(ended(2), 1).unwrap().is_stored);
    }
}
