//! Where the lines of the log go: a thread of its own writes them, so that
//! nobody who speaks waits for a terminal, a pipe that nobody reads or a disk
//! that is full (reliability: F-32). When too many wait, lines are lost, and
//! how many is said.

use std::{
    io::{self, Write},
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    time::Duration,
};

/// Lines that may wait.
const WAITING: usize = 4_096;
/// How often and how long after each other a place for the end is looked for.
const LOOKS: u32 = 50;
const LOOK: Duration = Duration::from_millis(10);

enum Message {
    Line(Vec<u8>),
    /// Tells when everything before it is written.
    Flush(SyncSender<()>),
}

static QUEUE: OnceLock<SyncSender<Message>> = OnceLock::new();
static LOST: AtomicU64 = AtomicU64::new(0);

/// Takes one line at a time.
#[derive(Debug)]
pub(super) struct Line;

/// Starts the thread; where there can be none the lines are written on the spot.
pub(super) fn start() {
    let (queue, messages) = sync_channel(WAITING);
    let writer = std::thread::Builder::new().name("log".into());
    if writer.spawn(move || write_all(&messages)).is_ok() {
        // The thread of a second start ends by itself.
        let _ = QUEUE.set(queue);
    }
}

fn write_all(messages: &Receiver<Message>) {
    // What cannot be written cannot be told either.
    let put = |bytes: &[u8]| {
        let _ = io::stderr().write_all(bytes);
    };
    while let Ok(message) = messages.recv() {
        match message {
            Message::Line(line) => put(&line),
            Message::Flush(done) => {
                let _ = done.try_send(());
            }
        }
        let lost = LOST.swap(0, Ordering::Relaxed);
        if lost > 0 {
            put(format!(
                "{lost} lines of the log are lost: they came faster than they could be written\n"
            )
            .as_bytes());
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(queue) = QUEUE.get() else {
            return io::stderr().write(bytes);
        };
        if queue.try_send(Message::Line(bytes.to_vec())).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits until what was said so far is written, for about a second at most.
pub(super) fn flush() {
    let Some(queue) = QUEUE.get() else { return };
    let (done, written) = sync_channel(1);
    let mut message = Message::Flush(done);
    for _ in 0..LOOKS {
        match queue.try_send(message) {
            Ok(()) => {
                let _ = written.recv_timeout(LOOK * LOOKS);
                return;
            }
            Err(TrySendError::Full(back)) => message = back,
            Err(TrySendError::Disconnected(_)) => return,
        }
        std::thread::sleep(LOOK);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn lines_are_taken_whether_or_not_anybody_writes_them() {
        // No thread: the receiver is kept and never read.
        let (queue, messages) = sync_channel(2);
        QUEUE.set(queue).unwrap();
        for _ in 0..5 {
            Line.write_all(b"a line\n").unwrap();
        }
        assert_eq!(LOST.load(Ordering::Relaxed), 3);
        flush();
        assert_eq!(messages.try_iter().count(), 2);
    }
}
