//! Whose turn it is, and whether there is a slot for one more call in flight.
//!
//! Revocations go first and have a slot for themselves. Background work goes
//! when nothing else waits, and once in so many ordinary calls all the same:
//! it yields, and does not starve. So does what failed again and again, to
//! everything: however much of it there is, it gets a tenth of what is sent, as
//! long as anything else waits, by turns what takes access away and what does not.
//! The first may have the slot of revocations too, which nobody else needs then.
//! What nobody answered last time may hold its slot for long again: it has none of
//! those, however urgent, and no more than half of the others. Connections that share a credential take
//! turns, so that the backlog of one does not stand before the other's calls.

use super::{PRIORITIES, Priority};

/// So many ordinary calls go before one of the background that waits, and so
/// many of any kind before one that failed again and again.
const YIELDS: u32 = 9;

/// A connection, by the order of coming.
pub(super) type Number = usize;

#[derive(Debug)]
pub(super) struct Queue {
    slots: usize,
    /// In flight, by priority.
    flying: [usize; PRIORITIES],
    parties: Vec<Party>,
    turns: u64,
    /// Ordinary calls since the last of the background.
    yielded: u32,
    /// All calls since the last that failed again and again.
    retried: u32,
    /// That one took access away.
    retook: bool,
}

#[derive(Debug, Default)]
struct Party {
    /// By priority.
    waiting: [usize; PRIORITIES],
    /// The last turn it had.
    last: u64,
}

impl Queue {
    pub(super) fn new(concurrency: u32) -> Self {
        Self {
            slots: slots(concurrency),
            flying: [0; PRIORITIES],
            parties: Vec::new(),
            turns: 0,
            yielded: 0,
            retried: 0,
            retook: false,
        }
    }

    pub(super) fn tighten(&mut self, concurrency: u32) {
        self.slots = self.slots.min(slots(concurrency));
    }

    pub(super) fn slots(&self) -> usize {
        self.slots
    }

    /// One more connection.
    pub(super) fn join(&mut self) -> Number {
        self.parties.push(Party::default());
        self.parties.len() - 1
    }

    pub(super) fn wait(&mut self, party: Number, priority: Priority) {
        if priority == Priority::Retry && !self.waits(priority) {
            // Before it nobody was kept waiting: what has not failed goes first, and
            // shows whether all of its kind do.
            self.retried = 0;
        }
        self.parties[party].waiting[priority as usize] += 1;
    }

    pub(super) fn wait_no_more(&mut self, party: Number, priority: Priority) {
        self.parties[party].waiting[priority as usize] -= 1;
    }

    /// Whether one who waits is the first, and has a slot.
    pub(super) fn may_go(&self, party: Number, priority: Priority) -> bool {
        self.first() == Some((party, priority))
    }

    pub(super) fn go(&mut self, party: Number, priority: Priority) {
        self.turns += 1;
        self.parties[party].last = self.turns;
        self.flying[priority as usize] += 1;
        self.yielded = match priority {
            Priority::Ordinary => self.yielded.saturating_add(1),
            Priority::Background => 0,
            _ => self.yielded,
        };
        if matches!(priority, Priority::Retry | Priority::Overdue) {
            (self.retried, self.retook) = (0, priority == Priority::Overdue);
        } else {
            self.retried = self.retried.saturating_add(1);
        }
    }

    pub(super) fn end(&mut self, priority: Priority) {
        self.flying[priority as usize] -= 1;
    }

    /// Of those for whom there is a slot.
    fn first(&self) -> Option<(Number, Priority)> {
        let next = |priority| {
            let party = self.next_party(priority)?;
            self.has_slot(priority).then_some((party, priority))
        };
        let (second, third) = if self.yielded < YIELDS {
            (Priority::Ordinary, Priority::Background)
        } else {
            (Priority::Background, Priority::Ordinary)
        };
        let retries = if self.retook {
            [Priority::Retry, Priority::Overdue]
        } else {
            [Priority::Overdue, Priority::Retry]
        };
        let retry = || retries.into_iter().find_map(next);
        next(Priority::Revocation)
            .or_else(|| next(Priority::Unanswered))
            .or_else(|| retry().filter(|_| self.retried >= YIELDS))
            .or_else(|| next(second))
            .or_else(|| next(third))
            .or_else(retry)
    }

    fn waits(&self, priority: Priority) -> bool {
        let mut parties = self.parties.iter();
        parties.any(|party| party.waiting[priority as usize] > 0)
    }

    /// Whoever had no turn for the longest.
    fn next_party(&self, priority: Priority) -> Option<Number> {
        let parties = self.parties.iter().enumerate();
        let waiting = parties.filter(|(_, party)| party.waiting[priority as usize] > 0);
        let next = waiting.min_by_key(|(_, party)| party.last);
        next.map(|(number, _)| number)
    }

    fn has_slot(&self, priority: Priority) -> bool {
        let of = |priority: Priority| self.flying[priority as usize];
        let flying: usize = self.flying.iter().sum();
        let others = flying - of(Priority::Revocation) - of(Priority::Overdue);
        let has_other = others < (self.slots - 1).max(1);
        let few = (self.slots.saturating_sub(2) / 2).max(1);
        flying < self.slots
            && match priority {
                Priority::Revocation | Priority::Overdue => true,
                Priority::Ordinary | Priority::Background => has_other,
                Priority::Retry | Priority::Unanswered => has_other && of(priority) < few,
            }
    }
}

fn slots(concurrency: u32) -> usize {
    concurrency.clamp(1, 1_000) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Ordinary, Overdue, Retry, Revocation, Unanswered};

    /// For one connection, number 0.
    fn queue(concurrency: u32) -> Queue {
        let mut queue = Queue::new(concurrency);
        queue.join();
        queue
    }

    /// Who goes, while everybody waits.
    fn order(queue: &mut Queue, count: usize) -> Vec<(Number, Priority)> {
        let mut order = Vec::new();
        for _ in 0..count {
            if let Some((party, priority)) = queue.first() {
                assert!(queue.may_go(party, priority));
                queue.go(party, priority);
                queue.end(priority);
                order.push((party, priority));
            }
        }
        order
    }

    #[test]
    fn background_work_gets_one_turn_in_ten() {
        let mut queue = queue(4);
        queue.wait(0, Ordinary);
        queue.wait(0, Background);
        let order = order(&mut queue, 100);
        let background = order.iter().filter(|it| **it == (0, Background));
        assert_eq!((order.len(), background.count()), (100, 10));
        queue.wait(0, Revocation);
        assert!(queue.may_go(0, Revocation) && !queue.may_go(0, Background));
    }

    #[test]
    fn what_failed_again_and_again_gets_a_tenth_while_anything_else_waits() {
        for others in [&[Ordinary][..], &[Background], &[Ordinary, Background]] {
            let mut queue = queue(4);
            (0..60).for_each(|_| queue.wait(0, Retry));
            assert_eq!(order(&mut queue, 20), [(0, Retry); 20], "alone");
            others.iter().for_each(|priority| queue.wait(0, *priority));
            assert_ne!(order(&mut queue, 1), [(0, Retry)], "fresh work is first");
            let order = order(&mut queue, 200);
            let retries = order.iter().filter(|it| **it == (0, Retry)).count();
            assert_eq!((order.len(), retries), (200, 20), "{others:?}");
            queue.wait(0, Revocation);
            assert!(queue.may_go(0, Revocation) && !queue.may_go(0, Retry));
        }
    }

    #[test]
    fn what_failed_before_is_not_due_at_once_after_a_time_without_any() {
        let mut queue = queue(4);
        queue.wait(0, Ordinary);
        assert_eq!(order(&mut queue, 50), [(0, Ordinary); 50]);
        queue.wait(0, Retry);
        let order = order(&mut queue, 10);
        assert_eq!(order[..9], [(0, Ordinary); 9]);
        assert_eq!(order[9], (0, Retry));
    }

    #[test]
    fn of_what_failed_again_and_again_every_other_one_takes_access_away() {
        let mut queue = queue(4);
        for priority in [Retry, Overdue, Ordinary] {
            queue.wait(0, priority);
        }
        let order = order(&mut queue, 200);
        for priority in [Retry, Overdue] {
            let count = order.iter().filter(|it| it.1 == priority).count();
            assert_eq!(count, 10, "{priority:?}");
        }
        queue.wait(0, Revocation);
        assert!(queue.may_go(0, Revocation) && !queue.may_go(0, Overdue));
    }

    /// So many of one kind go at once.
    fn fill(queue: &mut Queue, priority: Priority) -> usize {
        queue.wait(0, priority);
        let mut count = 0;
        while queue.may_go(0, priority) {
            queue.go(0, priority);
            count += 1;
        }
        queue.wait_no_more(0, priority);
        count
    }

    #[test]
    fn what_may_hang_again_has_some_slots_only_and_none_of_those_of_removals() {
        for (slots, few) in [(1, 1), (2, 1), (3, 1), (4, 1), (8, 3)] {
            for hangs in [Retry, Unanswered] {
                let mut queue = queue(slots);
                assert_eq!(fill(&mut queue, hangs), few, "{hangs:?} of {slots}");
                let left = (slots as usize).saturating_sub(few + 1);
                assert_eq!(fill(&mut queue, Ordinary), left, "beside {hangs:?}");
                assert_eq!(fill(&mut queue, hangs), 0);
                assert_eq!(fill(&mut queue, Revocation), usize::from(slots > 1));
            }
            let mut queue = queue(slots);
            let others = fill(&mut queue, Ordinary);
            assert_eq!(fill(&mut queue, Unanswered), 0);
            assert_eq!(fill(&mut queue, Overdue), slots as usize - others);
        }
    }

    #[test]
    fn background_work_goes_at_once_when_nothing_else_waits() {
        let mut queue = queue(4);
        queue.wait(0, Background);
        assert!(queue.may_go(0, Background));
        queue.wait(0, Ordinary);
        assert!(queue.may_go(0, Ordinary) && !queue.may_go(0, Background));
        queue.wait_no_more(0, Ordinary);
        assert!(queue.may_go(0, Background));
    }

    #[test]
    fn connections_take_turns_and_a_revocation_of_either_goes_first() {
        let mut queue = queue(4);
        let other = queue.join();
        for _ in 0..100 {
            queue.wait(0, Ordinary);
        }
        assert_eq!(order(&mut queue, 3), [(0, Ordinary); 3]);
        queue.wait(other, Ordinary);
        let turns = order(&mut queue, 4);
        assert_eq!(
            turns,
            [
                (other, Ordinary),
                (0, Ordinary),
                (other, Ordinary),
                (0, Ordinary)
            ]
        );
        queue.wait(0, Revocation);
        assert_eq!(order(&mut queue, 1), [(0, Revocation)]);
    }

    #[test]
    fn one_slot_is_for_revocations_alone_where_there_are_several() {
        for (slots, others) in [(1, 1), (2, 1), (3, 2)] {
            let mut queue = queue(slots);
            queue.wait(0, Ordinary);
            let mut flying = 0;
            while queue.may_go(0, Ordinary) {
                queue.go(0, Ordinary);
                flying += 1;
            }
            assert_eq!(flying, others, "of {slots}");
            queue.wait_no_more(0, Ordinary);
            queue.wait(0, Revocation);
            assert_eq!(queue.may_go(0, Revocation), slots > 1);
            queue.end(Ordinary);
            assert!(queue.may_go(0, Revocation));
        }
    }
}
