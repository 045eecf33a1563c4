//! Whose turn it is, and whether there is a slot for one more call in flight.
//!
//! Revocations go first and have a slot for themselves. Background work goes
//! when nothing else waits, and once in so many ordinary calls all the same:
//! it yields, and does not starve.

use super::Priority;

/// So many ordinary calls go before one of the background that waits.
const YIELDS: u32 = 9;

#[derive(Debug)]
pub(super) struct Queue {
    slots: usize,
    /// In flight, by priority.
    flying: [usize; 3],
    /// By priority.
    waiting: [usize; 3],
    /// Ordinary calls since the last of the background.
    yielded: u32,
}

impl Queue {
    pub(super) fn new(concurrency: u32) -> Self {
        Self {
            slots: slots(concurrency),
            flying: [0; 3],
            waiting: [0; 3],
            yielded: 0,
        }
    }

    pub(super) fn tighten(&mut self, concurrency: u32) {
        self.slots = self.slots.min(slots(concurrency));
    }

    pub(super) fn wait(&mut self, priority: Priority) {
        self.waiting[priority as usize] += 1;
    }

    pub(super) fn wait_no_more(&mut self, priority: Priority) {
        self.waiting[priority as usize] -= 1;
    }

    /// Whether one who waits is the first, and has a slot.
    pub(super) fn may_go(&self, priority: Priority) -> bool {
        self.first() == priority && self.has_slot(priority)
    }

    pub(super) fn go(&mut self, priority: Priority) {
        self.flying[priority as usize] += 1;
        self.yielded = match priority {
            Priority::Revocation => self.yielded,
            Priority::Ordinary => self.yielded.saturating_add(1),
            Priority::Background => 0,
        };
    }

    pub(super) fn end(&mut self, priority: Priority) {
        self.flying[priority as usize] -= 1;
    }

    fn first(&self) -> Priority {
        let waits = |priority: Priority| self.waiting[priority as usize] > 0;
        if waits(Priority::Revocation) {
            return Priority::Revocation;
        }
        let is_due = self.yielded >= YIELDS || !waits(Priority::Ordinary);
        if is_due && waits(Priority::Background) {
            return Priority::Background;
        }
        Priority::Ordinary
    }

    fn has_slot(&self, priority: Priority) -> bool {
        let flying: usize = self.flying.iter().sum();
        let others = flying - self.flying[Priority::Revocation as usize];
        flying < self.slots
            && (priority == Priority::Revocation || others < (self.slots - 1).max(1))
    }
}

fn slots(concurrency: u32) -> usize {
    concurrency.clamp(1, 1_000) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use Priority::{Background, Ordinary, Revocation};

    /// Who goes, while everybody waits.
    fn order(queue: &mut Queue, count: usize) -> Vec<Priority> {
        let mut order = Vec::new();
        for _ in 0..count {
            let all = [Revocation, Ordinary, Background];
            let next = all.into_iter().find(|it| queue.may_go(*it));
            if let Some(next) = next {
                queue.go(next);
                queue.end(next);
                order.push(next);
            }
        }
        order
    }

    #[test]
    fn background_work_gets_one_turn_in_ten() {
        let mut queue = Queue::new(4);
        queue.wait(Ordinary);
        queue.wait(Background);
        let order = order(&mut queue, 100);
        let background = order.iter().filter(|it| **it == Background).count();
        assert_eq!((order.len(), background), (100, 10));
        queue.wait(Revocation);
        assert!(queue.may_go(Revocation) && !queue.may_go(Background));
    }

    #[test]
    fn background_work_goes_at_once_when_nothing_else_waits() {
        let mut queue = Queue::new(4);
        queue.wait(Background);
        assert!(queue.may_go(Background));
        queue.wait(Ordinary);
        assert!(queue.may_go(Ordinary) && !queue.may_go(Background));
        queue.wait_no_more(Ordinary);
        assert!(queue.may_go(Background));
    }

    #[test]
    fn one_slot_is_for_revocations_alone_where_there_are_several() {
        for (slots, others) in [(1, 1), (2, 1), (3, 2)] {
            let mut queue = Queue::new(slots);
            queue.wait(Ordinary);
            let mut flying = 0;
            while queue.may_go(Ordinary) {
                queue.go(Ordinary);
                flying += 1;
            }
            assert_eq!(flying, others, "of {slots}");
            queue.wait_no_more(Ordinary);
            queue.wait(Revocation);
            assert_eq!(queue.may_go(Revocation), slots > 1);
            queue.end(Ordinary);
            assert!(queue.may_go(Revocation));
        }
    }
}
