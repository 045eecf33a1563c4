//! What an application says it can do, as an administrator reads it: the table
//! that `drawbridge check` prints.

use std::collections::BTreeMap;

use crate::support::World;

/// Every act by its words.
pub struct Table(BTreeMap<String, Row>);

/// One act.
#[derive(Debug, Clone)]
pub struct Row {
    pub able: bool,
    /// Most members in one call.
    pub batch: usize,
    /// Why not, or what to know.
    pub note: String,
}

impl Table {
    /// The one of a world with a single connection.
    pub fn printed_by(world: &World) -> Self {
        let (said, wrong, ok) = world.run(&["check"]);
        assert!(ok, "{said} {wrong}");
        let (_, table) = said.split_once("what ").expect("a table");
        Self(unwrapped(table).iter().filter_map(|it| row(it)).collect())
    }

    #[track_caller]
    pub fn row(&self, act: &str) -> &Row {
        let row = self.0.get(act);
        row.unwrap_or_else(|| panic!("no row {act:?}"))
    }

    pub fn can(&self, act: &str) -> bool {
        self.row(act).able
    }

    pub fn rows(&self) -> impl Iterator<Item = (&String, &Row)> {
        self.0.iter()
    }

    /// The fewest calls in which so many members can be told.
    pub fn fewest(&self, act: &str, members: usize) -> usize {
        members.div_ceil(self.row(act).batch)
    }
}

/// The lines of a paragraph as one.
fn unwrapped(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("           "), lines.last_mut()) {
            (Some(more), Some(before)) => before.extend([" ", more]),
            _ => lines.push(line.to_owned()),
        }
    }
    lines
}

/// `yes  add members (1000 a call, by name, documented): a remark`
fn row(line: &str) -> Option<(String, Row)> {
    let (able, rest) = line.trim_start().split_once(' ')?;
    let able = match able {
        "yes" => true,
        "no" => false,
        _ => return None,
    };
    let (act, rest) = rest.trim_start().split_once(" (")?;
    let (how, note) = rest.split_once("): ").unwrap_or((rest, ""));
    let digits: String = how.chars().take_while(char::is_ascii_digit).collect();
    let row = Row {
        able,
        batch: digits.parse().unwrap_or(1),
        note: note.to_owned(),
    };
    Some((act.to_owned(), row))
}
