//! Whose turn it is to look at everything. There are a few seats for all
//! connections, and for each connection a waiting room of its own, so that one
//! that asks too much is refused itself and never makes another one wait behind
//! its own. A seat that becomes free goes to the connection that has the fewest
//! of them, and among those to the one that was served longest ago: so nobody
//! takes a second seat while another one waits.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::fault::{Fault, Result};

/// Scans at the same time, and how many more of one connection may wait.
const SEATS: usize = 2;
const WAITING: usize = 64;

#[derive(Debug)]
pub(super) struct Scans(Mutex<Line>);

#[derive(Debug)]
struct Line {
    free: usize,
    /// Of connections that scan or wait; whoever was served last is at the end.
    rooms: VecDeque<Room>,
}

#[derive(Debug)]
struct Room {
    connection: i64,
    scanning: usize,
    waiting: VecDeque<oneshot::Sender<()>>,
}

/// The right to scan; another one's as soon as it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    scans: Arc<Scans>,
    connection: i64,
}

/// A place in a waiting room.
struct Turn {
    scans: Arc<Scans>,
    connection: i64,
    /// `None` once the seat is taken.
    called: Option<oneshot::Receiver<()>>,
}

impl Scans {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Line {
            free: SEATS,
            rooms: VecDeque::new(),
        }))
    }

    /// Waits for a seat; an error at once where too many of the connection do.
    pub(super) async fn seat(self: &Arc<Self>, connection: i64) -> Result<Seat> {
        let mut turn = self.come(connection).ok_or(Fault::Crowded)?;
        if let Some(called) = &mut turn.called {
            let called = called.await;
            called.map_err(|_| Fault::broken("the readers are closed"))?;
        }
        turn.called = None;
        Ok(Seat {
            scans: Arc::clone(self),
            connection,
        })
    }

    fn come(self: &Arc<Self>, connection: i64) -> Option<Turn> {
        let (call, called) = oneshot::channel();
        let mut line = self.line();
        let room = line.room(connection);
        room.waiting.retain(|call| !call.is_closed());
        if room.waiting.len() >= WAITING {
            return None;
        }
        room.waiting.push_back(call);
        line.call();
        drop(line);
        Some(Turn {
            scans: Arc::clone(self),
            connection,
            called: Some(called),
        })
    }

    fn leave(&self, connection: i64) {
        let mut line = self.line();
        let room = line.room(connection);
        room.scanning = room.scanning.saturating_sub(1);
        line.free += 1;
        line.call();
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn room(&mut self, connection: i64) -> &mut Room {
        let found = self.rooms.iter().position(|it| it.connection == connection);
        let at = found.unwrap_or(self.rooms.len());
        if found.is_none() {
            self.rooms.push_back(Room {
                connection,
                scanning: 0,
                waiting: VecDeque::new(),
            });
        }
        &mut self.rooms[at]
    }

    /// Gives away what is free.
    fn call(&mut self) {
        while self.free > 0 {
            let waiting = self.rooms.iter().enumerate();
            let waiting = waiting.filter(|(_, room)| !room.waiting.is_empty());
            // The first of those with the fewest seats.
            let Some((at, _)) = waiting.min_by_key(|(_, room)| room.scanning) else {
                break;
            };
            let Some(mut room) = self.rooms.remove(at) else {
                break;
            };
            let call = room.waiting.pop_front();
            if call.is_some_and(|call| call.send(()).is_ok()) {
                self.free -= 1;
                room.scanning += 1;
                self.rooms.push_back(room);
            } else {
                // Who has gone is passed over, and the next one's turn it is.
                self.rooms.insert(at, room);
            }
        }
        self.rooms
            .retain(|room| room.scanning > 0 || !room.waiting.is_empty());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.scans.leave(self.connection);
    }
}

/// Who goes while being called leaves a seat that nobody else would take.
impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(called) = &mut self.called {
            called.close();
            if called.try_recv().is_ok() {
                self.scans.leave(self.connection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LOUD: i64 = 1;
    const QUIET: i64 = 2;
    const THIRD: i64 = 3;

    /// Whether a seat was given to it; it is taken then, and given back with what
    /// is returned.
    fn sits(turn: &mut Turn) -> Option<Seat> {
        turn.called.as_mut().unwrap().try_recv().ok()?;
        turn.called = None;
        Some(Seat {
            scans: Arc::clone(&turn.scans),
            connection: turn.connection,
        })
    }

    fn come(scans: &Arc<Scans>, connection: i64) -> Turn {
        scans.come(connection).unwrap()
    }

    /// Both seats taken, and a full waiting room behind them.
    fn loud(scans: &Arc<Scans>) -> (Vec<Seat>, Vec<Turn>) {
        let mut seats = Vec::new();
        for _ in 0..SEATS {
            seats.extend(sits(&mut come(scans, LOUD)));
        }
        assert_eq!(seats.len(), SEATS, "alone it may have all of them");
        let waiting: Vec<Turn> = (0..WAITING).map(|_| come(scans, LOUD)).collect();
        assert!(scans.come(LOUD).is_none(), "there is an end to it");
        (seats, waiting)
    }

    #[test]
    fn a_quiet_neighbour_of_a_loud_one_is_never_refused_and_is_served_next() {
        let scans = Arc::new(Scans::new());
        let (mut seats, mut waiting) = loud(&scans);
        for _ in 0..100 {
            let mut quiet = come(&scans, QUIET);
            assert!(sits(&mut quiet).is_none(), "nobody is turned out");
            drop(seats.pop());
            let seat = sits(&mut quiet).unwrap();
            let called = waiting.iter_mut().filter_map(sits).count();
            assert_eq!(called, 0, "of the loud one nobody came before");
            drop(seat);
            // The loud one goes on with what nobody else wants.
            let next = waiting.iter_mut().position(|turn| {
                let seat = sits(turn);
                seat.map(|seat| seats.push(seat)).is_some()
            });
            waiting.remove(next.unwrap());
            waiting.push(come(&scans, LOUD));
            assert_eq!(seats.len(), SEATS);
        }
    }

    #[test]
    fn nobody_takes_a_second_seat_while_another_one_waits_and_turns_are_taken() {
        let scans = Arc::new(Scans::new());
        let (seats, mut waiting) = loud(&scans);
        let mut others: Vec<Turn> = [QUIET, QUIET, QUIET, THIRD, THIRD, THIRD]
            .iter()
            .map(|connection| come(&scans, *connection))
            .collect();
        drop(seats);
        let mut served = Vec::new();
        let mut open: VecDeque<Seat> = VecDeque::new();
        for _ in 0..10 {
            let all = others.iter_mut().chain(&mut waiting);
            let still = all.filter(|turn| turn.called.is_some());
            for seat in still.filter_map(sits) {
                served.push(seat.connection);
                open.push_back(seat);
            }
            assert_eq!(open.len(), SEATS);
            assert_ne!(open[0].connection, open[1].connection);
            if served.len() == 9 {
                break;
            }
            drop(open.pop_front());
        }
        let turns = [QUIET, LOUD, THIRD].repeat(3);
        assert_eq!(served, turns);
    }

    #[test]
    fn who_goes_makes_room_and_leaves_no_seat_behind() {
        let scans = Arc::new(Scans::new());
        let (seats, mut waiting) = loud(&scans);
        waiting.pop();
        waiting.push(come(&scans, LOUD));
        assert!(scans.come(LOUD).is_none());
        let quiet = come(&scans, QUIET);
        drop(seats);
        // It was called, and goes without having heard it.
        drop(quiet);
        let taken: Vec<Seat> = waiting.iter_mut().filter_map(sits).collect();
        assert_eq!(taken.len(), SEATS);
        drop((taken, waiting));
        let line = scans.line();
        assert_eq!((line.free, line.rooms.len()), (SEATS, 0));
    }
}
