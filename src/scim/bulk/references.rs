//! `bulkId` references (RFC 7644 section 3.7.2): `"bulkId:x"` stands for the
//! id of what the POST with the bulkId `x` creates, wherever the schemas have the
//! identifier of a resource (see `spots`), and in the path of an operation. In
//! any other text it is text. Because ids are minted before anything is
//! written, it does not matter which of the operations comes first, or whether
//! they refer to each other in a circle.

use std::collections::{BTreeSet, HashMap};

use super::{BulkRequest, Verb, spots};
use crate::scim::{error::Problem, json::quoted, schema::Schemas};

pub(super) const MARK: &str = "bulkId:";

/// What a bulkId stands for.
struct Made {
    place: usize,
    id: String,
}

impl BulkRequest {
    /// Gives every resource to be created an id from `mint`, and puts it where
    /// other operations refer to it. A reference to what this request does not
    /// create is 409 for the operation that has it (section 3.7.1).
    pub fn resolve(&mut self, schemas: &Schemas, mut mint: impl FnMut() -> String) {
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
                found.text(&mut act.id);
            }
            spots::each(act, schemas, &mut found);
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
pub(super) struct References<'a> {
    made: &'a HashMap<String, Made>,
    needs: BTreeSet<usize>,
    unknown: Option<String>,
}

impl References<'_> {
    /// The identifier of a resource, or its address.
    pub(super) fn text(&mut self, text: &mut String) {
        if let Some(name) = text.strip_prefix(MARK) {
            *text = self.id(name);
        } else if let Some((before, name)) = text.rsplit_once("/bulkId:") {
            *text = format!("{before}/{}", self.id(name));
        }
    }

    /// `members[value eq "bulkId:x"]`, where `is_id` says which names are
    /// compared with identifiers.
    pub(super) fn in_filter(&mut self, text: &mut String, is_id: impl Fn(&str) -> bool) {
        let mut done = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("\"bulkId:") {
            let Some((name, after)) = after.split_once('"') else {
                break;
            };
            done.push_str(before);
            if compared(before).is_some_and(&is_id) {
                let id = self.id(name);
                done.extend(["\"", &id, "\""]);
            } else {
                done.extend(["\"", MARK, name, "\""]);
            }
            rest = after;
        }
        done.push_str(rest);
        *text = done;
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

/// The last name before a value and its operator.
fn compared(before: &str) -> Option<&str> {
    let (rest, _operator) = before.trim_end().rsplit_once([' ', '\t'])?;
    rest.trim_end().rsplit([' ', '\t', '[', '(', '.']).next()
}
