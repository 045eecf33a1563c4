//! What a declared application can do: what is declared, and nothing else. One
//! row per act; a "no" says so in the administrator's words (`notes`) or tells
//! which call is not declared.

use std::borrow::Cow;

use super::{
    operation::{Name, Operation},
    settings::{KnownBy, Settings},
};
use crate::plan::capability::{
    Act, Capabilities, Capability,
    Certainty::{Assumed, Documented},
    Identifier, OURS_ONLY,
};

pub(super) fn table(settings: &Settings) -> Capabilities {
    Capabilities {
        application: settings.name.trim().to_owned().into(),
        rows: Act::ALL.map(|act| row(act, settings)).into(),
    }
}

/// Why nobody joins or leaves a group, if nobody does.
pub(super) fn why_no_members(can: &Capabilities) -> Option<String> {
    let [add, remove] = [Act::AddMembers, Act::RemoveMembers].map(|act| can.why_not(act));
    let add = add?;
    let remove = remove.filter(|remove| *remove != add);
    Some(remove.map_or_else(|| add.to_owned(), |remove| format!("{add}; {remove}")))
}

/// The call that does an act, where there can be one.
fn call_of(act: Act) -> Option<Name> {
    match act {
        Act::CreateUser => Some(Name::CreateUser),
        Act::DeactivateUser => Some(Name::DeactivateUser),
        Act::ReactivateUser => Some(Name::ReactivateUser),
        Act::CreateGroup => Some(Name::CreateGroup),
        Act::DeleteGroup => Some(Name::DeleteGroup),
        Act::AddMembers => Some(Name::AddMembers),
        Act::RemoveMembers => Some(Name::RemoveMembers),
        Act::ReplaceMembers => Some(Name::ReplaceMembers),
        Act::RenameUser | Act::SetRole | Act::UpdateProfile | Act::RenameGroup => None,
    }
}

fn row(act: Act, settings: &Settings) -> Capability {
    let call = call_of(act);
    let declared = call.and_then(|name| settings.operation(name));
    let links = act == Act::CreateUser && settings.user.link;
    let own = settings.notes.get(&act);
    let able = declared.is_some() || links;
    let certainty = match declared {
        Some(operation) if operation.assumed => Assumed,
        Some(_) => Documented,
        None if links || own.is_some() => Documented,
        None => Assumed,
    };
    let batch = declared.map_or(1, Operation::most_members);
    Capability {
        act,
        able,
        batch,
        by: by(act, settings),
        certainty,
        note: match own {
            Some(note) if withdraws(act, settings) => format!("{}; {INSTEAD}", note.trim()).into(),
            Some(note) => note.trim().to_owned().into(),
            None if links => LINKED.into(),
            None if able && act == Act::DeleteGroup => OURS_ONLY.into(),
            None if able => "".into(),
            None => reason(act, call, settings),
        },
    }
}

/// Whether an act is the end of an account, and is done in another way.
fn withdraws(act: Act, settings: &Settings) -> bool {
    act == Act::DeactivateUser
        && !settings.has(Name::DeactivateUser)
        && settings.has(Name::RemoveMembers)
}

const INSTEAD: &str = "deactivation takes every membership away, also one that was only found, and activation gives \
     them back";

const LINKED: &str = "the account that is there is taken; none is made";

/// Why not, where the administrator does not say it.
fn reason(act: Act, call: Option<Name>, settings: &Settings) -> Cow<'static, str> {
    let name = settings.name.trim();
    match (act, call) {
        (Act::DeactivateUser, Some(call)) if withdraws(act, settings) => format!(
            "no call to {} is declared for {name}; {INSTEAD}",
            call.words()
        )
        .into(),
        (Act::ReactivateUser, _) if withdraws(Act::DeactivateUser, settings) => {
            format!("no account in {name} is deactivated").into()
        }
        (Act::ReactivateUser, _) if settings.has(Name::DeactivateUser) => {
            let instead = if settings.has(Name::CreateUser) {
                ", or the connection sets reactivate = \"recreate\""
            } else {
                ""
            };
            format!(
                "no call to activate an account again is declared for {name}; its administrator \
                 can{instead}"
            )
            .into()
        }
        (_, Some(call)) => format!("no call to {} is declared for {name}", call.words()).into(),
        (Act::RenameUser, _) => {
            format!("{name} knows an account by it, and no call to change it is declared").into()
        }
        (Act::RenameGroup, _) if settings.has(Name::CreateGroup) => {
            format!("the name of a group in {name} stays; only the SCIM displayName changes").into()
        }
        (Act::RenameGroup, _) => {
            format!("no call to name a group is declared for {name}, so it is only shown").into()
        }
        _ => {
            let kept = settings.has(Name::CreateUser) || settings.user.link;
            let end = if kept {
                "kept by the bridge only"
            } else {
                "only shown"
            };
            format!("no call for it is declared for {name}, so it is {end}").into()
        }
    }
}

fn by(act: Act, settings: &Settings) -> Identifier {
    let account = match settings.user.known_by {
        KnownBy::Email => Identifier::Email,
        KnownBy::Name => Identifier::Name,
        KnownBy::Id => Identifier::Id,
    };
    let told = |name: Name, hole: &str| {
        let operation = settings.operation(name);
        operation.is_some_and(|operation| operation.holes().contains(hole))
    };
    let by_id = match call_of(act) {
        Some(name @ Name::DeleteGroup) => told(name, "group.id"),
        Some(name @ (Name::DeactivateUser | Name::ReactivateUser)) => told(name, "user.id"),
        Some(name) if name.changes_members() => told(name, "member.id"),
        _ => false,
    };
    match act {
        _ if by_id => Identifier::Id,
        Act::CreateGroup | Act::RenameGroup | Act::DeleteGroup => Identifier::Name,
        _ => account,
    }
}
