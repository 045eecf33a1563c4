//! Under which name something that import found is shown. Names that compare
//! equal ([`fold_case`](crate::scim::filter::fold_case), RFC 8265) cannot stand
//! in SCIM twice, and an application may have them twice. Nothing is left out in
//! silence: it is shown under its name with the application's id behind it, or
//! it is counted.

use crate::{scim::resource::Attributes, store::WriteError};

use super::{
    fault::{Fault, Result},
    groups::Group,
    users::User,
};

/// A name with the application's id behind it.
pub(super) fn apart(name: &str, id: &str) -> String {
    format!("{name} ({id})")
}

pub(super) fn is_apart(name: &str, id: &str) -> bool {
    name.ends_with(&format!(" ({id})"))
}

/// How something that was found may be named.
pub(super) struct Shown {
    attribute: &'static str,
    /// The application's id of it.
    id: String,
    /// It may have a name that is not quite the application's, and lose an
    /// `externalId` that somebody else was given since.
    apart: bool,
}

impl Shown {
    pub(super) fn of_user(user: &User, apart: bool) -> Self {
        let id = user.upstream_id.as_ref().or(user.account_key.as_ref());
        Self {
            attribute: "userName",
            id: id.cloned().unwrap_or_default(),
            apart,
        }
    }

    /// What members are asked for in, and leavers are taken out of, is always shown.
    pub(super) fn of_group(group: &Group) -> Self {
        Self {
            attribute: "displayName",
            id: group.upstream_name.clone(),
            apart: true,
        }
    }

    /// Writes under the first name that nobody has here; `None` when there is
    /// none.
    pub(super) fn write<T>(
        &self,
        mut attributes: Attributes,
        mut write: impl FnMut(&Attributes) -> Result<T>,
    ) -> Result<Option<T>> {
        loop {
            let taken = match write(&attributes) {
                Ok(written) => return Ok(Some(written)),
                Err(Fault::Refused(WriteError::Taken { attribute, .. })) => attribute,
                Err(fault) => return Err(fault),
            };
            let other = if taken == self.attribute {
                self.apart && self.name_apart(&mut attributes)
            } else {
                self.apart && taken == "externalId" && attributes.0.remove(taken).is_some()
            };
            if !other {
                tracing::debug!(id = self.id, taken, "found and not shown");
                return Ok(None);
            }
        }
    }

    fn name_apart(&self, attributes: &mut Attributes) -> bool {
        let Some(name) = attributes.text(self.attribute) else {
            return false;
        };
        let name = apart(name, &self.id);
        attributes.0.insert(self.attribute.into(), name.into());
        true
    }
}
