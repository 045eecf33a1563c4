//! The order of operations: as they were sent, save that an operation moves
//! back behind what it refers to, and with it those after it that are about the
//! same resource. Operations that refer to each other in a circle come together
//! and stand or fall together (RFC 7644 section 3.7.1).
//!
//! Circles are the strongly connected components of the references, by
//! Tarjan's algorithm, which finds each after its needs. It keeps its own stack:
//! a chain of references may be as long as the request.

use std::collections::HashMap;

use super::{Operation, Verb};

/// The places of the operations, in the order of work.
pub fn units(operations: &[Operation]) -> Vec<Vec<usize>> {
    let after = after(operations);
    let mut search = Search {
        after: &after,
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
    sent_order(search.units, &after)
}

/// What each operation has to come after: its needs, and the operation before
/// it on the same resource. A creation is not moved by the latter: it is itself
/// what the others need.
fn after(operations: &[Operation]) -> Vec<Vec<usize>> {
    let mut last = HashMap::new();
    let of = |(place, operation): (usize, &Operation)| {
        let mut after = operation.needs.clone();
        if let Ok(act) = &operation.act
            && act.verb != Verb::Create
        {
            after.extend(last.insert((act.of, act.id.clone()), place));
        }
        after
    };
    operations.iter().enumerate().map(of).collect()
}

/// Moves every unit back to where the last of it was sent, or what it comes
/// after; the sort is stable, and so keeps what comes after something behind it.
fn sent_order(mut units: Vec<Vec<usize>>, after: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut moved: Vec<usize> = (0..after.len()).collect();
    for unit in &units {
        let behind = unit.iter().filter_map(|place| after.get(*place)).flatten();
        let behind = behind.filter_map(|place| moved.get(*place));
        let to = unit.iter().chain(behind).copied().max().unwrap_or_default();
        for place in unit {
            if let Some(slot) = moved.get_mut(*place) {
                *slot = to;
            }
        }
    }
    let to = |unit: &Vec<usize>| unit.first().and_then(|place| moved.get(*place)).copied();
    units.sort_by_key(to);
    units
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
    after: &'a [Vec<usize>],
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
            let after = self.after.get(place);
            match after.and_then(|after| after.get(next).copied()) {
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
