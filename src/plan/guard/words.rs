//! The guard's reasons in words, for identity providers and operators.

use std::fmt;

use super::{Anew, Deed, Effect, Excess, Over, Protection, ResourceType, Rule};

/// Ids that a text names.
const SHOWN: usize = 20;

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            taking,
            taken,
            size,
            most,
            ..
        } = self;
        let span = Span(self.within_seconds);
        match self.rule {
            Rule::GroupRemovals => write!(
                f,
                "it takes {taking} members from the group, where {taken} went in the last {span}; at \
                 most {most}{} may go in that time (group_removals)",
                Share {
                    most: *most,
                    size: *size
                }
            ),
            Rule::Removals => write!(
                f,
                "it takes away {taking}, and {taken} removals went in this connection in the last \
                 {span}; at most {most} may go in that time with {size} users (removals)"
            ),
            Rule::EmptyFrom => write!(
                f,
                "it takes away all {taking} members that the group still has (empty_from)"
            ),
            Rule::Waiting => write!(
                f,
                "an earlier removal from this group, which was too large, waits for an operator, and \
                 so do those that follow in the next {span} (group_removals)"
            ),
            Rule::Recovery => write!(
                f,
                "the bridge is in recovery: nobody has confirmed yet that its database and the \
                 application belong together, so nothing is removed from groups"
            ),
            Rule::Foreign => write!(
                f,
                "the bridge is in recovery: the application is rather another one, or another \
                 tenant of it, than the one that this account is known to be in, so nobody's \
                 access is taken away"
            ),
        }
    }
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(anew) = &self.anew else {
            return write!(f, "this request takes away too much at once: {}", self.over);
        };
        let why = anew.reasons(self.effect.of).join(", and ");
        write!(f, "this request is not what was shown any more: {why}")?;
        match self.effect.of {
            ResourceType::User => Ok(()),
            ResourceType::Group => write!(f, "; {}", self.over),
        }
    }
}

impl Anew {
    fn reasons(&self, of: ResourceType) -> Vec<String> {
        let Self {
            takes,
            gives,
            groups,
            sets,
        } = self;
        let mut reasons = Vec::new();
        match (*takes > 0, of) {
            (true, ResourceType::User) => reasons.push(
                "the User was written again after it was held, and stays active by that".to_owned(),
            ),
            (true, ResourceType::Group) => reasons.push(format!(
                "it takes away {takes} who were not among those shown, or were asked for since"
            )),
            (false, _) if *groups > 0 => reasons.push(format!(
                "the User is in {groups} Groups that were not among those shown"
            )),
            (false, _) => {}
        }
        if *gives > 0 {
            reasons.push(format!(
                "it adds {gives} who were not among those shown, or were taken out since"
            ));
        }
        if !sets.is_empty() {
            let sets = sets.join(", ");
            reasons.push(format!(
                "it changes what was not shown, or was changed since: {sets}"
            ));
        }
        reasons
    }
}

/// Of how many, where there are so many.
struct Share {
    most: u64,
    size: u64,
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { most, size } = self;
        if size < most {
            return Ok(());
        }
        write!(f, " of {size}")
    }
}

/// Seconds in the largest unit that leaves no rest.
struct Span(u64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.0 {
            seconds if seconds % 3600 == 0 => (seconds / 3600, "hour"),
            seconds if seconds % 60 == 0 => (seconds / 60, "minute"),
            seconds => (seconds, "second"),
        };
        match number {
            1 => f.write_str(unit),
            _ => write!(f, "{number} {unit}s"),
        }
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (of, id) = (self.of.name(), self.id);
        match self.act {
            Deed::Lower => return write!(f, "what the site role of the {of} {id} allows"),
            Deed::Change if self.of == ResourceType::User => {
                return write!(f, "nothing of the access of the {of} {id}");
            }
            Deed::Deactivate => write!(f, "the access of the {of} {id}")?,
            Deed::Delete if self.of == ResourceType::User => write!(f, "the {of} {id}")?,
            Deed::Delete => write!(f, "the {of} {id} and its {} members", self.removed)?,
            Deed::Change => write!(f, "{} members of the {of} {id}", self.removed)?,
        }
        if self.of == ResourceType::User && self.removed > 0 {
            write!(f, ", who is in {} Groups", self.removed)?;
        }
        let shown: Vec<String> = self
            .removes
            .iter()
            .take(SHOWN)
            .map(ToString::to_string)
            .collect();
        if shown.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", shown.join(", "))?;
        let more = self.removed.saturating_sub(shown.len() as u64);
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        Ok(())
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(
                f,
                "the User {id} is protected by the bridge's configuration: it is not removed from a \
                 group, deactivated or deleted (protected_users)"
            ),
            Self::Role(id) => write!(
                f,
                "the User {id} is protected by the bridge's configuration: its site role is not \
                 lowered (protected_users)"
            ),
            Self::Renamed(of, id) => write!(
                f,
                "the {} {id} is protected by the bridge's configuration under a name that this \
                 request takes away",
                of.name()
            ),
            Self::Group(id) => write!(
                f,
                "the Group {id} is protected by the bridge's configuration and is not deleted \
                 (protected_groups, least_members)"
            ),
            Self::Within(id) => write!(
                f,
                "somebody whom the bridge's configuration protects is in the Group {id} in the \
                 application, so it is not deleted (protected_users)"
            ),
            Self::Unread(id) => write!(
                f,
                "the Group {id} is protected by the bridge's configuration: nobody is taken out of \
                 it who is no member of it here (protected_groups, least_members)"
            ),
            Self::Least(id, least) => write!(
                f,
                "the Group {id} is protected by the bridge's configuration: it would keep fewer than \
                 {least} active members who are known to be in it in the application; who is to take \
                 their place has to arrive there first: add, then remove (protected_groups, \
                 least_members)"
            ),
        }
    }
}

/// A resource type by its name.
pub(super) mod kind {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::scim::resource::ResourceType;

    #[allow(clippy::trivially_copy_pass_by_ref)] // As serde wants it.
    pub(in super::super) fn serialize<S: Serializer>(
        of: &ResourceType,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.serialize_str(of.name())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<ResourceType, D::Error> {
        let name = String::deserialize(from)?;
        let types = [ResourceType::User, ResourceType::Group];
        let of = types.into_iter().find(|of| of.name() == name);
        of.ok_or_else(|| D::Error::custom("neither User nor Group"))
    }
}
