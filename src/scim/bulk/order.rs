//! The order of operations: as they were sent, save that what an operation
//! refers to is created before it. Operations that refer to each other in a circle
//! come together and stand or fall together (RFC 7644 section 3.7.1).
//!
//! These are the strongly connected components of the references, by Tarjan's
//! algorithm, which finds them in just this order. It keeps its own stack: a chain of
//! references may be as long as the request.

use super::Operation;

/// The places of the operations, in the order of work.
pub fn units(operations: &[Operation]) -> Vec<Vec<usize>> {
    let mut search = Search {
        operations,
        seen: vec![Seen::default(); operations.len()],
        count: 0,
        open: Vec::new(),
        units: Vec::with_capacity(operations.len()),
    };
    for place in 0..operations.len() {
        if search.at(place).number == 0 {
            search.from(place);
        }
    }
    search.units
}

#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    /// In the order of visits, from 1; 0 was not visited.
    number: usize,
    /// The lowest number that can be reached from here.
    lowest: usize,
    open: bool,
}

struct Search<'a> {
    operations: &'a [Operation],
    seen: Vec<Seen>,
    count: usize,
    /// Visited, and not yet part of a unit.
    open: Vec<usize>,
    units: Vec<Vec<usize>>,
}

impl Search<'_> {
    fn at(&self, place: usize) -> Seen {
        self.seen.get(place).copied().unwrap_or_default()
    }

    fn from(&mut self, start: usize) {
        self.visit(start);
        // Places under way, each with the next of its needs to look at.
        let mut way = vec![(start, 0)];
        while let Some((place, next)) = way.pop() {
            let needs = self.operations.get(place).map(|o| o.needs.as_slice());
            match needs.and_then(|needs| needs.get(next).copied()) {
                Some(need) => {
                    way.push((place, next + 1));
                    if self.at(need).number == 0 {
                        self.visit(need);
                        way.push((need, 0));
                    } else if self.at(need).open {
                        self.reaches(place, self.at(need).number);
                    }
                }
                None => {
                    if self.at(place).lowest == self.at(place).number {
                        self.close(place);
                    } else if let Some((from, _)) = way.last() {
                        self.reaches(*from, self.at(place).lowest);
                    }
                }
            }
        }
    }

    fn visit(&mut self, place: usize) {
        self.count += 1;
        if let Some(seen) = self.seen.get_mut(place) {
            *seen = Seen {
                number: self.count,
                lowest: self.count,
                open: true,
            };
        }
        self.open.push(place);
    }

    fn reaches(&mut self, place: usize, number: usize) {
        if let Some(seen) = self.seen.get_mut(place) {
            seen.lowest = seen.lowest.min(number);
        }
    }

    /// Takes a unit off the open places: all from `first` on.
    fn close(&mut self, first: usize) {
        let mut unit = Vec::new();
        while let Some(place) = self.open.pop() {
            if let Some(seen) = self.seen.get_mut(place) {
                seen.open = false;
            }
            unit.push(place);
            if place == first {
                break;
            }
        }
        unit.sort_unstable();
        self.units.push(unit);
    }
}
