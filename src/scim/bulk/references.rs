//! `bulkId` references (RFC 7644 section 3.7.2): `"bulkId:x"` stands for the
//! id of what the POST with the bulkId `x` creates, wherever a value is a text, as
//! the end of a `$ref`, in quotes in the path of a PATCH, and in the path of
//! an operation. Because ids are minted before anything is written, it does
//! not matter which of the operations comes first, or whether they refer to each
//! other in a circle.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use super::{BulkRequest, Verb};
use crate::scim::{error::Problem, json::quoted};

const MARK: &str = "bulkId:";

/// What a bulkId stands for.
struct Made {
    place: usize,
    id: String,
}

impl BulkRequest {
    /// Gives every resource to be created an id from `mint`, and puts it where
    /// other operations refer to it. A reference to what this request does not
    /// create is 409 for the operation that has it (section 3.7.1).
    pub fn resolve(&mut self, mut mint: impl FnMut() -> String) {
        let mut made = HashMap::new();
        for (place, operation) in self.operations.iter_mut().enumerate() {
            if !operation.method.eq_ignore_ascii_case("POST") {
                continue;
            }
            let id = mint();
            if let Ok(act) = &mut operation.act {
                act.id.clone_from(&id);
            }
            if let Some(name) = &operation.bulk_id {
                made.insert(name.clone(), Made { place, id });
            }
        }
        for operation in &mut self.operations {
            let Ok(act) = &mut operation.act else {
                continue;
            };
            let mut found = References {
                made: &made,
                needs: BTreeSet::new(),
                unknown: None,
            };
            if act.verb != Verb::Create {
                found.text(&mut act.id, "");
            }
            found.value(&mut act.data, "");
            operation.needs = found.needs.into_iter().collect();
            if let Some(name) = found.unknown {
                operation.act = Err(unresolved(&name));
            }
        }
    }
}

fn unresolved(name: &str) -> Problem {
    Problem::new(
        409,
        format!(
            "the reference to the bulkId {} cannot be resolved: no POST of this request has it",
            quoted(name)
        ),
    )
}

/// The references of one operation.
struct References<'a> {
    made: &'a HashMap<String, Made>,
    needs: BTreeSet<usize>,
    unknown: Option<String>,
}

impl References<'_> {
    /// Goes no deeper than the parser let the body be.
    fn value(&mut self, value: &mut Value, key: &str) {
        match value {
            Value::String(text) => self.text(text, key),
            Value::Array(list) => {
                for value in list {
                    self.value(value, key);
                }
            }
            Value::Object(map) => self.object(map),
            _ => {}
        }
    }

    /// A key may be a path with a filter, too.
    fn object(&mut self, map: &mut Map<String, Value>) {
        if map.keys().any(|key| key.contains(MARK)) {
            *map = std::mem::take(map)
                .into_iter()
                .map(|(mut key, value)| {
                    self.text(&mut key, "path");
                    (key, value)
                })
                .collect();
        }
        for (key, value) in map.iter_mut() {
            self.value(value, key);
        }
    }

    fn text(&mut self, text: &mut String, key: &str) {
        if !text.contains(MARK) {
            return;
        }
        if let Some(name) = text.strip_prefix(MARK) {
            *text = self.id(name);
        } else if key.eq_ignore_ascii_case("path") {
            *text = self.in_quotes(text);
        } else if key.eq_ignore_ascii_case("$ref")
            && let Some((before, name)) = text.rsplit_once("/bulkId:")
        {
            *text = format!("{before}/{}", self.id(name));
        }
    }

    /// `members[value eq "bulkId:x"]`
    fn in_quotes(&mut self, text: &str) -> String {
        let mut done = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("\"bulkId:") {
            let Some((name, after)) = after.split_once('"') else {
                break;
            };
            done.push_str(before);
            done.push('"');
            done.push_str(&self.id(name));
            done.push('"');
            rest = after;
        }
        done.push_str(rest);
        done
    }

    fn id(&mut self, name: &str) -> String {
        let Some(made) = self.made.get(name) else {
            self.unknown.get_or_insert_with(|| name.to_owned());
            return String::new();
        };
        self.needs.insert(made.place);
        made.id.clone()
    }
}
