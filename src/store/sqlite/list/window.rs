//! The page in a list: matches are offered one by one in the order of the
//! list, and the page is what stays. All are counted; only the page is kept.

use std::{cmp::Ordering, collections::VecDeque};

use crate::{
    scim::catalog::Listable,
    store::{Mark, Start},
};

/// What a list is ordered by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order<'a> {
    /// What the list is about, in the order that holds where keys are equal.
    pub(super) types: &'a [Listable],
    pub(super) descending: bool,
}

impl Order<'_> {
    /// The key, then the type, then creation: no two places are equal, and
    /// equal keys stand in order of creation in either direction.
    pub(super) fn compare(&self, a: &Mark, b: &Mark) -> Ordering {
        let rank = |mark: &Mark| self.types.iter().position(|of| *of == mark.of);
        a.key
            .compare(&b.key, self.descending)
            .then_with(|| rank(a).cmp(&rank(b)))
            .then_with(|| a.row.cmp(&b.row))
    }
}

/// A page while it is being found.
#[derive(Debug)]
pub(super) struct Window<'a, T> {
    order: Order<'a>,
    start: &'a Start,
    limit: u64,
    pub(super) total: u64,
    pub(super) page: VecDeque<(Mark, T)>,
    pub(super) earlier: bool,
    pub(super) later: bool,
}

impl<'a, T> Window<'a, T> {
    pub(super) fn new(order: Order<'a>, start: &'a Start, limit: u64) -> Self {
        Self {
            order,
            start,
            limit,
            total: 0,
            page: VecDeque::new(),
            earlier: false,
            later: false,
        }
    }

    /// Takes the next match of the list, if it is on the page.
    pub(super) fn offer(&mut self, mark: Mark, item: T) {
        let place = self.total;
        self.total += 1;
        match self.start {
            Start::Offset(offset) if place < *offset => self.earlier = true,
            Start::After(Some(after)) if self.order.compare(&mark, after).is_le() => {
                self.earlier = true;
            }
            Start::Before(Some(before)) if self.order.compare(&mark, before).is_ge() => {
                self.later = true;
            }
            Start::Before(_) => self.push_last(mark, item),
            Start::Offset(_) | Start::After(_) if self.is_full() => self.later = true,
            Start::Offset(_) | Start::After(_) => self.page.push_back((mark, item)),
        }
    }

    /// Keeps the last ones.
    fn push_last(&mut self, mark: Mark, item: T) {
        self.page.push_back((mark, item));
        if self.page.len() as u64 > self.limit {
            self.page.pop_front();
            self.earlier = true;
        }
    }

    fn is_full(&self) -> bool {
        self.page.len() as u64 >= self.limit
    }

    pub(super) fn ends(&self) -> Option<(Mark, Mark)> {
        let (first, last) = (self.page.front()?, self.page.back()?);
        Some((first.0.clone(), last.0.clone()))
    }
}
