//! What does not go together in a declared application, all of it at once, each
//! line with its key, what is wrong and what to do. A membership that could be
//! given and never taken away again is no declaration.

use super::{
    active,
    body::{Body, is_of_member},
    meaning::{Means, Row},
    operation::{Name, Operation},
    paging::{Paging, Style},
    pitfalls,
    settings::{Authentication, KnownBy, Only, Settings},
    template::{Path, Text},
};
use crate::upstream::{
    client::bounds::{MOST_ENTRIES, MOST_MEMBERS, too_much},
    odd_tenant,
};
use reqwest::{Method, header::HeaderValue};

/// The longest name and the longest note.
const LONGEST_NAME: usize = 60;
const LONGEST_NOTE: usize = 400;
/// Statuses that are a matter of pace before anybody looks further.
const THROTTLES: [u16; 4] = [408, 425, 429, 503];

impl Settings {
    /// Everything wrong, each line starting with the key it is about. Reads
    /// the token's source; sends nothing.
    pub fn problems(&self) -> Vec<String> {
        let mut found = self.client().problems();
        found.extend(odd_tenant(self.tenant.as_ref()));
        self.about_the_client(&mut found);
        self.about_users(&mut found);
        self.about_groups(&mut found);
        self.about_members(&mut found);
        for (name, operation) in &self.operations {
            let mut told = Vec::new();
            self.about_operation(*name, operation, &mut told);
            let key = name.key();
            found.extend(told.into_iter().map(|it| format!("operations.{key}{it}")));
        }
        for (at, row) in self.errors.iter().enumerate() {
            let told = about_meaning(row);
            found.extend(told.map(|it| format!("errors[{at}]{it}")));
        }
        pitfalls::all(self, &mut found);
        found
    }

    fn about_the_client(&self, found: &mut Vec<String>) {
        if let Some(wrong) = wrong_words(&self.name, LONGEST_NAME) {
            found.push(format!(
                "name: {wrong}: write what refusals shall call the application"
            ));
        }
        match (self.authentication, &self.header) {
            (Authentication::Header, Some(_)) if self.header().is_none() => {
                found.push("header: not the name of a header: write for example \"x-api-key\"".into());
            }
            (Authentication::Header, None) => found.push(
                "authentication: \"header\" without its name: add header = \"x-api-key\"".into(),
            ),
            (Authentication::Header, Some(_)) | (_, None) => {}
            (_, Some(_)) => found.push(
                "header: names a header that is not used: write authentication = \"header\", or take it out".into(),
            ),
        }
        if HeaderValue::try_from(&self.media_type).is_err() {
            found.push("media_type: no media type: write for example \"application/json\"".into());
        }
        for (act, note) in &self.notes {
            if let Some(wrong) = wrong_words(note, LONGEST_NOTE) {
                found.push(format!(
                    "notes: {:?}, {wrong}: write one sentence",
                    act.words()
                ));
            }
        }
    }

    fn about_users(&self, found: &mut Vec<String>) {
        let user = &self.user;
        let by_id = user.known_by == KnownBy::Id;
        let record = match user.known_by {
            KnownBy::Id => ("user.id", user.id.is_some()),
            KnownBy::Email | KnownBy::Name => ("user.account", user.account.is_some()),
        };
        if let (key, false) = record {
            found.push(format!(
                "{key}: missing, so nobody can be recognized: add the JSON pointer to what a user is known by"
            ));
        }
        active::problems(user, found);
        found.extend(about_only("user.only", user.only.as_ref()));
        if !self.has(Name::ListUsers) && !self.has(Name::FindUser) {
            found.push("operations.find_user: neither this nor list_users is declared, so no user can be read: declare one of them".into());
        }
        let returns = self.has(Name::ReactivateUser);
        if returns && !self.has(Name::DeactivateUser) {
            found.push("operations.reactivate_user: nobody is deactivated here: declare deactivate_user too".into());
        }
        if returns && !user.link && !self.has(Name::CreateUser) {
            found.push("operations.reactivate_user: no account is made or linked here: declare create_user, or write user.link = true".into());
        }
        if self.has(Name::CreateUser) && user.link {
            found.push("user.link: accounts are either linked or made: take out link or operations.create_user".into());
        }
        if by_id && (user.link || self.has(Name::CreateUser)) {
            found.push("user.known_by: an id that only the application gives cannot be known before the account is: write \"email\" or \"name\"".into());
        }
    }

    fn about_groups(&self, found: &mut Vec<String>) {
        let group = &self.group;
        let fixed = !group.fixed.is_empty();
        let record = match group.known_by {
            KnownBy::Id => ("group.id", group.id.is_some()),
            KnownBy::Email | KnownBy::Name => ("group.name", group.name.is_some()),
        };
        if group.known_by == KnownBy::Email {
            found.push("group.known_by: a group has no e-mail: write \"name\" or \"id\"".into());
        }
        if let ((key, false), false) = (record, fixed) {
            found.push(format!(
                "{key}: missing, so no group can be recognized: add the JSON pointer to what a group is known by"
            ));
        }
        match (fixed, self.has(Name::ListGroups)) {
            (false, false) => found.push("operations.list_groups: missing, so no group is known: declare it, or name the groups under group.fixed".into()),
            (true, true) => found.push("group.fixed: the groups are both named here and listed: take out one of them".into()),
            _ => {}
        }
        if fixed && group.known_by == KnownBy::Id {
            found.push(
                "group.known_by: groups that are named here are known by name: write \"name\""
                    .into(),
            );
        }
        for name in [Name::FindGroup, Name::CreateGroup, Name::DeleteGroup] {
            if fixed && self.has(name) {
                found.push(format!(
                    "operations.{}: the groups are fixed: take it out, or group.fixed",
                    name.key()
                ));
            }
        }
        if self.has(Name::CreateGroup) && group.known_by == KnownBy::Id {
            found.push("operations.create_group: an id that only the application gives cannot be known before the group is: write group.known_by = \"name\"".into());
        }
        found.extend(about_only("group.only", group.only.as_ref()));
        if fixed && group.only.is_some() {
            found.push("group.only: the groups are fixed: take it out, or group.fixed".into());
        }
        for (at, rule) in group.read_only.iter().enumerate() {
            if rule.is.is_some() == rule.is_not.is_some() {
                found.push(format!(
                    "group.read_only[{at}]: says nothing, or two things: write either is or is_not"
                ));
            }
            if let Some(wrong) = wrong_words(&rule.note, LONGEST_NOTE) {
                found.push(format!(
                    "group.read_only[{at}].note: {wrong}: write one sentence"
                ));
            }
        }
    }

    fn about_members(&self, found: &mut Vec<String>) {
        let member = &self.member;
        found.extend(about_only("member.only", member.only.as_ref()));
        if member.only.is_some() && member.text.is_some() {
            found.push(
                "member.only: a text says nothing of itself: take out only, or member.text".into(),
            );
        }
        if member.id.is_none() && member.account.is_none() && member.text.is_none() {
            found.push("member: says nothing, so no member can be recognized: add member.id or member.account, or member.text where the list holds texts".into());
        }
        if !self.has(Name::ListMembers) {
            found.push("operations.list_members: missing, so nothing that is unclear could be looked up: declare it".into());
        }
        let [add, remove, replace] = [Name::AddMembers, Name::RemoveMembers, Name::ReplaceMembers]
            .map(|name| self.has(name));
        match (add, remove) {
            (true, false) => found.push("operations.remove_members: missing, so what add_members gives could never be taken away: declare both".into()),
            (false, true) => found.push("operations.add_members: missing, so what remove_members takes could never be given back: declare both".into()),
            (false, false) if replace => found.push("operations.replace_members: differences are sent and not whole groups: declare add_members and remove_members too".into()),
            _ => {}
        }
    }

    fn about_operation(&self, name: Name, operation: &Operation, told: &mut Vec<String>) {
        if operation.path.is_none() {
            told.push(
                ".path: missing: add the path below base_url, as in \"/groups/{group.id}\"".into(),
            );
        }
        let holes = operation.holes();
        for hole in holes.iter().filter(|hole| !name.may_hold(hole, self)) {
            told.push(format!(
                ": {{{hole}}} is nothing that this call can know: {}",
                self.known_to(name)
            ));
        }
        for thing in name.must_hold() {
            let named = |hole: &&str| hole.split('.').next() == Some(*thing);
            if operation.path.is_some() && !holes.iter().any(named) {
                told.push(format!(
                    ": names no {thing}, so it would be about all of them: {}",
                    self.known_to(name)
                ));
            }
        }
        self.about_ids(name, operation, told);
        about_batches(name, operation, told);
        about_keys(name, operation, told);
        if let Some(paging) = &operation.paging {
            told.extend(about_paging(paging).map(|it| format!(".paging: {it}")));
            let entries = paging.entries.map_or(1, usize::from);
            told.extend(too_much(".paging.entries", entries, MOST_ENTRIES));
            if let Some(first @ 2..) = paging.first {
                told.push(format!(
                    ".paging.first: {first} would leave out what is before it: write 0 or 1"
                ));
            }
        }
    }

    /// Ids can only be told where they are read somewhere.
    fn about_ids(&self, name: Name, operation: &Operation, told: &mut Vec<String>) {
        let holes = operation.holes();
        let user =
            (holes.contains("user.id") || holes.contains("member.id")) && self.user.id.is_none();
        let group =
            holes.contains("group.id") && self.group.id.is_none() && self.group.fixed.is_empty();
        let made = name == Name::CreateGroup && operation.id.is_none();
        if made
            && self
                .operations
                .values()
                .any(|it| it.holes().contains("group.id"))
        {
            told.push(".id: missing, though calls want the id of a group: add the JSON pointer to the new one's id".into());
        }
        if user {
            told.push(": the id of a user is told, and nowhere read: add user.id".into());
        }
        if group {
            told.push(": the id of a group is told, and nowhere read: add group.id".into());
        }
        if operation.id.is_some() && !name.creates() {
            told.push(".id: only what is made has a new id: take it out".into());
        }
    }

    fn known_to(&self, name: Name) -> String {
        let holes = super::template::HOLES.iter();
        let known: Vec<String> = holes
            .filter(|hole| name.may_hold(hole, self))
            .map(|hole| format!("{{{hole}}}"))
            .collect();
        if known.is_empty() {
            "take it out".to_owned()
        } else {
            format!("use {}", known.join(", "))
        }
    }
}

fn about_only(key: &str, only: Option<&Only>) -> Option<String> {
    let only = only?;
    let is_odd = only.is.is_some() == only.is_not.is_some();
    is_odd.then(|| format!("{key}: says nothing, or two things: write either is or is_not"))
}

fn about_batches(name: Name, operation: &Operation, told: &mut Vec<String>) {
    let body = operation.body.as_ref();
    let lists = body.is_some_and(Body::has_list_of_members);
    if operation.batch.is_some_and(|batch| batch.get() > 1) && !lists {
        told.push(".batch: no list of the body holds the members: write a list with one entry, as in members = [\"{member.id}\"]".into());
    }
    let batch = operation.batch.map_or(1, usize::from);
    told.extend(too_much(".batch", batch, MOST_MEMBERS));
    if name == Name::ReplaceMembers && !lists {
        told.push(".body: a replacement names all members: write a list with one entry, as in members = [\"{member.id}\"]".into());
    }
    let path = operation.path.as_ref().map(Path::holes);
    let query = operation.query.values().flat_map(Text::holes);
    let single = body.map(Body::single_holes);
    let outside = path.into_iter().flatten().chain(query);
    let mut outside = outside.chain(single.into_iter().flatten());
    if (lists || name == Name::CreateGroup) && outside.any(is_of_member) {
        told.push(": a member is named outside the list of them: name all in the list".into());
    }
}

fn about_keys(name: Name, operation: &Operation, told: &mut Vec<String>) {
    let get = operation.method(name) == Method::GET;
    if get && operation.body.is_some() {
        told.push(".body: a GET has none: take it out, or write another method".into());
    }
    if get && name.writes() {
        told.push(".method: a GET changes nothing: write POST, PUT, PATCH or DELETE".into());
    }
    let misplaced = [
        (
            "items",
            operation.items.is_some() && !name.is_list() && !name.is_search(),
        ),
        (
            "empty",
            operation.empty.is_some() && !name.is_list() && !name.is_search(),
        ),
        ("paging", operation.paging.is_some() && !name.is_list()),
        (
            "applied",
            operation.applied.is_some() && !names_members(name),
        ),
        ("failed", operation.failed.is_some() && !names_members(name)),
        (
            "applied_count",
            operation.applied_count.is_some() && !names_members(name),
        ),
        ("batch", operation.batch.is_some() && !names_members(name)),
    ];
    for (key, _) in misplaced.iter().filter(|(_, wrong)| *wrong) {
        told.push(format!(".{key}: has no meaning here: take it out"));
    }
    let is_whole = operation
        .items
        .as_ref()
        .is_none_or(|at| at.as_str().is_empty());
    if operation.empty.is_some() && is_whole {
        told.push(
            ".empty: the answer itself is the list, and never left out: add items, or take it out"
                .into(),
        );
    }
    if operation.applied.is_some() && operation.failed.is_some() {
        told.push(".failed: two lists for one thing: keep applied, or failed".into());
    }
    let lists = operation.applied.is_some() || operation.failed.is_some();
    if operation.applied_count.is_some() && lists && names_members(name) {
        told.push(".applied_count: a list says more than a number: take it out".into());
    }
}

fn names_members(name: Name) -> bool {
    name.changes_members() || name == Name::CreateGroup
}

fn about_paging(paging: &Paging) -> impl Iterator<Item = String> {
    let header = paging.style == Style::LinkHeader;
    let led = header || matches!(paging.style, Style::Cursor | Style::Link);
    let cursor = paging.style == Style::Cursor;
    let needs = [
        (
            led && !header && paging.next.is_none(),
            "without next, there is no way to the next page: add the JSON pointer to the cursor or link",
        ),
        (
            (cursor || !led) && paging.query.is_none(),
            "without query, the next page cannot be asked for: add the name of the parameter",
        ),
        (
            paging.style.is_link() && paging.query.is_some(),
            "a link says its whole query: take out query",
        ),
        (
            header && paging.next.is_some(),
            "the Link header says where the next page is: take out next, or write style \"link\"",
        ),
        (
            !led && paging.next.is_some(),
            "pages and offsets are counted: take out next, or write another style",
        ),
        (
            led && paging.total.is_some(),
            "the total is for pages and offsets: take out total, or write another style",
        ),
        (
            led && paging.first.is_some(),
            "only pages and offsets begin somewhere: take out first",
        ),
        (
            paging.entries.is_some() && paging.size.is_none(),
            "entries without size: add the name of the parameter that carries it",
        ),
    ];
    let wrong = needs.into_iter().filter(|(wrong, _)| *wrong);
    wrong.map(|(_, text)| text.to_owned())
}

fn about_meaning(row: &Row) -> impl Iterator<Item = String> {
    let success = row
        .status
        .0
        .iter()
        .any(|status| (200..300).contains(status));
    let mut statuses = row.status.0.iter();
    let only_success = success && statuses.all(|status| (200..300).contains(status));
    let throttle = row.status.0.iter().any(|status| THROTTLES.contains(status));
    let needs = [
        (
            row.status.0.is_empty() && row.at.is_none() && row.text.is_none(),
            ": fits every answer: add status, at or text",
        ),
        (
            success && row.at.is_none() && row.text.is_none() && row.means != Means::Success,
            ".status: would make a failure of every success: add at or text",
        ),
        (
            row.means == Means::Success && !only_success,
            ".means: only a status from 200 to 299 can be a success: write these as status, or \
             \"done\" where nothing was left to do",
        ),
        (
            throttle && row.means != Means::Later,
            ".means: 408, 425, 429 and 503 always ask for a pause: take them out of status",
        ),
        (
            row.text.as_ref().is_some_and(|text| text.trim().is_empty()),
            ".text: is empty: write words that the answer holds, or take it out",
        ),
    ];
    let wrong: Vec<String> = needs
        .into_iter()
        .filter(|(wrong, _)| *wrong)
        .map(|(_, text)| text.to_owned())
        .collect();
    wrong.into_iter()
}

/// What is wrong with words that identity providers and administrators see.
fn wrong_words(words: &str, longest: usize) -> Option<String> {
    if words.trim().is_empty() {
        return Some("missing".to_owned());
    }
    if words.chars().any(char::is_control) {
        return Some("holds characters that nobody sees".to_owned());
    }
    (words.chars().count() > longest).then(|| format!("longer than {longest} letters"))
}
