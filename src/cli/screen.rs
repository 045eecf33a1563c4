//! The terminal: lines that fit its width, colours only where they are wanted
//! (`NO_COLOR`), and no complaint when nobody reads any more.

use std::io::{self, IsTerminal, Write};

use jiff::{Timestamp, tz::TimeZone};

use crate::store::Millis;

/// How to write on standard output.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    width: usize,
    colours: bool,
}

/// What a piece of text is, for colouring.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tone {
    Plain,
    Heading,
    Quiet,
    Good,
    Bad,
}

impl Screen {
    pub(super) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let width = terminal_size::terminal_size().map_or(100, |(width, _)| usize::from(width.0));
        Self {
            width: if terminal { width.clamp(40, 160) } else { 100 },
            colours: terminal && std::env::var_os("NO_COLOR").is_none(),
        }
    }

    pub(super) fn line(self, tone: Tone, text: &str) {
        write_line(&self.paint(tone, text));
    }

    pub(super) fn blank() {
        write_line("");
    }

    /// A long text on as many lines as it takes; `margin` stands before the
    /// first, and as much space before the others.
    pub(super) fn paragraph(self, tone: Tone, margin: &str, text: &str) {
        self.in_brief(usize::MAX, tone, margin, text);
    }

    /// The same, but what is longer than some `letters` is left out, visibly.
    pub(super) fn in_brief(self, letters: usize, tone: Tone, margin: &str, text: &str) {
        let room = self.width.saturating_sub(margin.chars().count()).max(20);
        let mut wrapped = wrap(text, room);
        let lines = letters.div_ceil(room);
        if wrapped.len() > lines {
            wrapped.truncate(lines);
            wrapped.extend(Some("..".to_owned()));
        }
        let mut margin = margin.to_owned();
        for line in wrapped {
            write_line(&format!("{margin}{}", self.paint(tone, &line)));
            margin = " ".repeat(margin.chars().count());
        }
    }

    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Heading => "1",
            Tone::Quiet => "2",
            Tone::Good => "32",
            Tone::Bad => "1;31",
            Tone::Plain => return text.to_owned(),
        };
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// What went wrong, on standard error.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "drawbridge: {text}");
}

/// A remark that is not the command's result, on standard error.
pub(super) fn remark(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// A line that is overwritten by the next; only where somebody watches.
pub(super) fn progress(text: &str) {
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\u{1b}[K{text}");
        let _ = io::stderr().flush();
    }
}

/// A group by its displayName and the application's name for it.
pub(super) fn called(name: &str, shown_as: &str) -> String {
    if shown_as.is_empty() || shown_as == name {
        name.to_owned()
    } else {
        format!("{shown_as}, {name}")
    }
}

/// A day, for expiry dates.
pub(super) fn day(at: Millis) -> String {
    Timestamp::from_millisecond(at).map_or_else(
        |_| "?".to_owned(),
        |at| at.to_zoned(TimeZone::UTC).date().to_string(),
    )
}

// Whoever closed the other end of the pipe has read enough.
fn write_line(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let taken = lines.last().map_or(0, |line| line.chars().count());
        let fits = taken == 0 || taken + 1 + word.chars().count() <= room;
        match lines.last_mut().filter(|_| fits) {
            Some(line) => {
                if taken > 0 {
                    line.push(' ');
                }
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::wrap;

    #[test]
    fn long_texts_are_wrapped_between_words() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("", 7), [""]);
        assert_eq!(wrap("incomprehensibilities", 7), ["incomprehensibilities"]);
    }
}
