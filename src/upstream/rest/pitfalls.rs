//! What is well-formed in a declaration and would silently be something else
//! than is meant: a credential in a header that HTTP needs itself, a reading
//! that changes something, one call for two acts that are opposites, members who
//! can be matched to nobody, a row that no answer reaches. Told with the other
//! problems, with key and remedy.

use reqwest::{Method, header::HeaderName};

use super::{
    meaning::{Means, Row},
    operation::{Name, Operation},
    settings::{Authentication, KnownBy, Plain, Settings},
};

/// Headers that say something of the call itself.
const TAKEN: [&str; 12] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];

pub(super) fn all(settings: &Settings, found: &mut Vec<String>) {
    about_headers(settings, found);
    about_fixed_groups(settings, found);
    about_matching(settings, found);
    about_opposites(settings, found);
    about_new_accounts(settings, found);
    for (name, operation) in &settings.operations {
        let told = about_reading(*name, operation);
        let told = told.into_iter().chain(about_query(operation));
        found.extend(told.map(|it| format!("operations.{}{it}", name.key())));
    }
    about_rows(settings, found);
}

fn about_headers(settings: &Settings, found: &mut Vec<String>) {
    let header = settings.header();
    if header.is_some_and(|header| TAKEN.contains(&header.as_str())) {
        found.push(
            "header: says something of the call itself and cannot carry a token: write the application's own, for example \"x-api-key\"".into(),
        );
    }
    if settings.authentication == Authentication::Basic && settings.token.is_no_pair() {
        found.push("token: authentication \"basic\" wants user:password, and it holds no \":\": put both there".into());
    }
    let id = settings.request_id.as_deref();
    if id.is_some_and(|name| HeaderName::from_bytes(name.as_bytes()).is_err()) {
        found.push(
            "request_id: not the name of a header: write for example \"x-request-id\"".into(),
        );
    }
    if !is_json(&settings.media_type) {
        found.push(format!(
            "media_type: {:?} is no JSON, and bodies are nothing else: write \"application/json\", or a type that ends with \"+json\"",
            settings.media_type
        ));
    }
}

fn is_json(media: &str) -> bool {
    let essence = media.split(';').next().unwrap_or_default().trim();
    let subtype = essence.split_once('/').filter(|(main, _)| !main.is_empty());
    subtype.is_some_and(|(_, subtype)| {
        let subtype = subtype.to_ascii_lowercase();
        subtype == "json" || subtype.ends_with("+json")
    })
}

/// Two names for one group: what one of them loses, the other one loses too.
fn about_fixed_groups(settings: &Settings, found: &mut Vec<String>) {
    let fixed = &settings.group.fixed;
    for (at, (name, id)) in fixed.iter().enumerate() {
        if name.trim().is_empty() || id.trim().is_empty() {
            found.push(format!(
                "group.fixed: {name:?} = {id:?}: a name or an id is missing: write both"
            ));
            continue;
        }
        for (other, its) in fixed.iter().take(at) {
            if id == its {
                found.push(format!(
                    "group.fixed: {other:?} and {name:?} have the same id: keep one of them"
                ));
            }
            if name.to_lowercase() == other.to_lowercase() {
                found.push(format!(
                    "group.fixed: {other:?} and {name:?} differ in letter case alone: give one of them another name"
                ));
            }
        }
    }
}

fn about_matching(settings: &Settings, found: &mut Vec<String>) {
    let (user, member) = (&settings.user, &settings.member);
    if user.active.is_some() && [&user.account, &user.id].contains(&&user.active) {
        found.push("user.active: is read where account or id is, which says nothing of being active: point to what does, or take it out".into());
    }
    let by_id = member.text == Some(Plain::Id)
        || (member.id.is_some() && member.account.is_none() && member.text.is_none());
    if by_id && user.id.is_none() {
        found.push("member: members are known by their ids, and no user's id is read: add user.id, or member.account".into());
    }
}

/// Acts of which none does what another one does.
const OPPOSITES: [(Name, Name); 5] = [
    (Name::RemoveMembers, Name::AddMembers),
    (Name::ReplaceMembers, Name::AddMembers),
    (Name::ReplaceMembers, Name::RemoveMembers),
    (Name::ReactivateUser, Name::DeactivateUser),
    (Name::DeleteGroup, Name::CreateGroup),
];

/// The one would be answered as done, and the other have been.
fn about_opposites(settings: &Settings, found: &mut Vec<String>) {
    for (name, other) in OPPOSITES {
        let calls = settings.operation(name).zip(settings.operation(other));
        if calls.is_some_and(|(one, two)| is_same_call((name, one), (other, two))) {
            found.push(format!(
                "operations.{}: is the same call as operations.{}, and cannot do both: correct method, path, query or body of one of them",
                name.key(),
                other.key()
            ));
        }
    }
}

fn is_same_call((name, one): (Name, &Operation), (other, two): (Name, &Operation)) -> bool {
    one.path.is_some()
        && one.path == two.path
        && one.method(name) == two.method(other)
        && one.query == two.query
        && one.body == two.body
}

/// One that is not told by what users are known by is somebody else's.
fn about_new_accounts(settings: &Settings, found: &mut Vec<String>) {
    let Some(create) = settings.operation(Name::CreateUser) else {
        return;
    };
    let also = match settings.user.known_by {
        KnownBy::Email => "user.email",
        KnownBy::Name => "user.userName",
        KnownBy::Id => return,
    };
    let holes = create.holes();
    if create.path.is_some() && !holes.contains("user.account") && !holes.contains(also) {
        found.push("operations.create_user: does not tell the account, by which a user is known, so all would have the same: put {user.account} into the body".into());
    }
}

/// `check` reads, and a paused connection does too.
fn about_reading(name: Name, operation: &Operation) -> Option<String> {
    if name.writes() {
        return None;
    }
    let method = operation.method(name);
    let bare = method == Method::POST && operation.body.is_none();
    match method {
        Method::GET => None,
        Method::POST if !bare => None,
        _ => Some(format!(
            ".method: {method} changes something, and this call only reads: write GET, or POST with a body that says what is searched for"
        )),
    }
}

fn about_query(operation: &Operation) -> Vec<String> {
    let Some(paging) = &operation.paging else {
        return Vec::new();
    };
    let keys = [&paging.query, &paging.size];
    let mut told: Vec<String> = keys
        .into_iter()
        .flatten()
        .filter(|key| operation.query.contains_key(*key))
        .map(|key| format!(".query: {key:?} is said by paging already: take it out of one of them"))
        .collect();
    let unnamed = |key: &Option<String>| key.as_ref().is_some_and(|key| key.trim().is_empty());
    for (key, name) in [("query", &paging.query), ("size", &paging.size)] {
        if unnamed(name) {
            told.push(format!(
                ".paging.{key}: names no parameter: write its name, or take it out"
            ));
        }
    }
    if paging.query.is_some() && paging.query == paging.size && !unnamed(&paging.query) {
        told.push(".paging: query and size are the same parameter: name each its own".into());
    }
    told
}

fn about_rows(settings: &Settings, found: &mut Vec<String>) {
    for (at, row) in settings.errors.iter().enumerate() {
        for name in row.on.iter().filter(|name| !settings.has(**name)) {
            found.push(format!(
                "errors[{at}].on: operations.{} is not declared: declare it, or take it out",
                name.key()
            ));
        }
        let mut before = settings.errors.iter().take(at);
        if let Some(first) = before.position(|it| covers(it, row)) {
            found.push(format!(
                "errors[{at}]: is never reached, because errors[{first}] fits all that it does: take it out, or put it before"
            ));
        }
        if row.means != Means::Done {
            continue;
        }
        let calls: Vec<Name> = match row.on.as_slice() {
            [] => settings.operations.keys().copied().collect(),
            named => named.to_vec(),
        };
        let told = row
            .status
            .0
            .iter()
            .filter_map(|it| why_not_done(*it, row, &calls));
        found.extend(told.take(1).map(|why| format!("errors[{at}].means: {why}")));
    }
}

/// Whose end it is that what the call names is not there, and of whom that it is.
const ENDS: [Name; 3] = [Name::RemoveMembers, Name::DeactivateUser, Name::DeleteGroup];
const GIFTS: [Name; 2] = [Name::AddMembers, Name::ReactivateUser];

/// A redirect or a refused credential says nowhere that something was done, and a
/// fault or a refusal only where it says so itself; by its status alone, what tells that
/// something is not there only to a call that ends it, and that it is there only to one
/// that gives it.
fn why_not_done(status: u16, row: &Row, calls: &[Name]) -> Option<String> {
    let says = row.at.is_some() || row.text.is_some();
    let of: &[Name] = match status {
        300..=399 | 401 | 407 => &[],
        _ if says => return None,
        404 | 410 => &ENDS,
        409 => &GIFTS,
        400.. => &[],
        _ => return None,
    };
    let keys = |names: &[Name]| {
        names
            .iter()
            .map(|it| it.key())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let other = calls.iter().find(|it| !of.contains(it));
    match other {
        _ if of.is_empty() => Some(format!(
            "{status} does not say that something was done: write what it means, or add at or text"
        )),
        Some(other) => Some(format!(
            "{status} does not say of operations.{} that it was done: name in on none but {}, or add at or text",
            other.key(),
            keys(of)
        )),
        None => None,
    }
}

/// Whether one row fits every answer that another one does.
fn covers(one: &Row, other: &Row) -> bool {
    let on = one.on.is_empty()
        || (!other.on.is_empty() && other.on.iter().all(|name| one.on.contains(name)));
    let status = one.status.0.is_empty()
        || (!other.status.0.is_empty() && other.status.0.is_subset(&one.status.0));
    let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_lowercase());
    let says = match (&one.at, &one.text) {
        (None, None) => true,
        (Some(_), None) => one.at == other.at,
        _ => one.at == other.at && lower(&one.text) == lower(&other.text),
    };
    on && status && says
}
