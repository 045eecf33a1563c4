//! Operations on a group's members, read into deltas: whom to add, whom to
//! remove, who is to be left. What could be meant in two ways is refused,
//! because one of the two may empty a group.

use serde_json::Value;

use super::{Reader, no_value, takes_no_value};
use crate::scim::{
    error::{Problem, ScimType},
    members,
    patch::{MemberChange, Verb},
    path::Path,
    resource::immutable,
    schema::Mutability,
};

impl Reader<'_> {
    pub(super) fn members(
        &mut self,
        verb: Verb,
        path: Path,
        value: Option<Value>,
    ) -> Result<(), Problem> {
        if let Some(sub) = &path.sub_attribute
            && !(verb == Verb::Remove && path.filter.is_some() && sub == "value")
        {
            return Err(
                self.in_place("a member cannot be changed in place; remove it and add another")
            );
        }
        let strict = self.reading.strict;
        if strict && verb == Verb::Remove && value.as_ref().is_some_and(|value| !value.is_null()) {
            return Err(takes_no_value("members"));
        }
        let value = match value {
            Some(one @ Value::Object(_)) if strict => Some(vec![one].into()),
            value => value,
        };
        let change = match (verb, path.filter, value) {
            (Verb::Remove, None, None) => MemberChange::RemoveAll,
            // No recorded client sends it; it may as well come from one that
            // never loaded whom to remove.
            (Verb::Remove, None, Some(Value::Null)) => {
                return Err(Problem::bad(
                    ScimType::InvalidValue,
                    "a remove of members with the value null names nobody; leave value out to remove every member, or select them in the path: members[value eq \"..\"]",
                ));
            }
            (Verb::Remove, None, Some(value)) => MemberChange::Remove(self.ids(&value)?),
            (Verb::Remove, Some(filter), _) => {
                let change = match filter.ids() {
                    Some(ids) => MemberChange::Remove(self.counted(ids)?),
                    None => MemberChange::RemoveWhere(filter.only_about(&["value", "type"])?),
                };
                if strict {
                    MemberChange::Hitting(Box::new(change))
                } else {
                    change
                }
            }
            (Verb::Add, None, Some(value)) => MemberChange::Add(self.ids(&value)?),
            (Verb::Replace, None, Some(value)) => MemberChange::Replace(self.left(&value)?),
            (_, None, None) => return Err(no_value("members")),
            (Verb::Add, Some(_), _) if strict => {
                let remedy = "a member cannot be changed in place; add members as the value";
                return Err(self.in_place(remedy));
            }
            (Verb::Add, Some(filter), _) => match filter.ids() {
                Some(ids) => MemberChange::Add(self.counted(ids)?),
                None => {
                    return Err(Problem::bad(
                        ScimType::NoTarget,
                        "this filter does not say whom to add; send members as the value",
                    ));
                }
            },
            (Verb::Replace, Some(_), _) => {
                let remedy = "a member cannot be replaced in place; remove it and add another";
                return Err(self.in_place(remedy));
            }
        };
        // Neighbours of the same direction are one change.
        match (self.patch.members.last_mut(), change) {
            (_, MemberChange::Add(ids) | MemberChange::Remove(ids)) if ids.is_empty() => {}
            (Some(MemberChange::Add(last)), MemberChange::Add(ids))
            | (Some(MemberChange::Remove(last)), MemberChange::Remove(ids)) => last.extend(ids),
            (_, change) => self.patch.members.push(change),
        }
        Ok(())
    }

    /// Where nobody can be added or removed, that is no remedy: the reason is told.
    fn in_place(&self, remedy: &str) -> Problem {
        let members = self.schemas.kind(self.of).attribute(None, "members");
        let kept = members.filter(|it| it.mutability == Mutability::Kept);
        kept.map_or_else(|| Problem::bad(ScimType::Mutability, remedy), immutable)
    }

    /// Who is to be left. Only a list says that nobody is: anything else that
    /// names no member may as well come from a client that never loaded them.
    fn left(&mut self, value: &Value) -> Result<Vec<String>, Problem> {
        let ids = self.ids(value)?;
        if ids.is_empty() && !value.is_array() {
            return Err(Problem::bad(
                ScimType::InvalidValue,
                "this value names no members; send [] to remove every member, or a list of those that are to stay",
            ));
        }
        Ok(ids)
    }

    fn ids(&mut self, value: &Value) -> Result<Vec<String>, Problem> {
        let ids = members::ids(value, self.limits, &mut self.reading)?;
        self.counted(ids)
    }

    fn counted(&mut self, ids: Vec<String>) -> Result<Vec<String>, Problem> {
        self.members += ids.len();
        if self.members > self.limits.members {
            return Err(members::too_many(self.limits.members));
        }
        Ok(ids)
    }
}
