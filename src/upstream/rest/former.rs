//! What users and groups were known by under a former configuration, as far as what is
//! shown of them now tells it: by the same places in the answers.

use super::{
    answers::{CALLED, ID, NAMED},
    pointer::Pointer,
    settings::{KnownBy, Settings},
};
use crate::upstream::{RemoteGroup, RemoteUser};

/// Whether a place is where it was, by the words beside it: see [`Settings::identities`].
fn stands(former: &str, before: &str, at: Option<&Pointer>) -> bool {
    at.is_some_and(|at| former.contains(&format!("{before}{} ", at.as_str())))
}

fn was(former: &str, of: &str, by: KnownBy) -> bool {
    former.contains(&format!("{of} by {by:?} "))
}

pub(super) fn keeps_ids(settings: &Settings, former: &str) -> bool {
    let id = settings.user.id.as_ref();
    let all = [KnownBy::Email, KnownBy::Name, KnownBy::Id].into_iter();
    all.map(|by| format!("users by {by:?} "))
        .any(|before| stands(former, &before, id))
}

pub(super) fn account(settings: &Settings, former: &str, user: &RemoteUser) -> Option<String> {
    let shape = &settings.user;
    if was(former, "users", KnownBy::Id) {
        return user
            .upstream_id
            .clone()
            .filter(|_| keeps_ids(settings, former));
    }
    let at = shape.account.as_ref()?;
    if !former.contains(&format!(" {}, groups by ", at.as_str())) {
        return None;
    }
    match shape.known_by {
        KnownBy::Id => user.fields.get(NAMED).cloned(),
        KnownBy::Email | KnownBy::Name => Some(user.account.clone()),
    }
}

pub(super) fn group(settings: &Settings, former: &str, group: &RemoteGroup) -> Option<String> {
    let shape = &settings.group;
    if was(former, "groups", KnownBy::Id) {
        let same = stands(former, "groups by Id ", shape.id.as_ref());
        return group.fields.get(ID).filter(|_| same).cloned();
    }
    let at = shape.name.as_ref()?;
    let same = former.contains(&format!(" {}, members by ", at.as_str()));
    group.fields.get(CALLED).filter(|_| same).cloned()
}
