//! Which roles of which Snyk Groups are SCIM Groups: those of the configuration,
//! or without any all that somebody is seen to have. The roles of one Snyk
//! Group are alternatives, in an order of precedence.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    api::{Group, Membership},
    remade::Remade,
    roles::{is_same_name, order},
    settings::{OneGroup, Settings},
};
use crate::{
    plan::state::Family,
    upstream::{RemoteGroup, client::Moment},
};

/// A role in a Snyk Group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Role {
    pub(super) id: String,
    /// Empty where only the id is configured and nobody has it.
    pub(super) name: String,
    /// What it is called by the configuration.
    called: Option<String>,
}

#[derive(Debug)]
pub(super) struct Families {
    groups: Vec<OneGroup>,
    precedence: Vec<String>,
    template: String,
    /// By the id of the Snyk Group. A role that nobody has any more stays known,
    /// as it stays a SCIM Group.
    seen: Mutex<HashMap<String, Seen>>,
    /// The ids of the Snyk Groups that the connection is known to be about.
    known: Mutex<BTreeSet<String>>,
}

/// What was seen of one Snyk Group.
#[derive(Debug, Clone, Default)]
struct Seen {
    roles: BTreeMap<String, String>,
    /// Those of them that only a process before this one has seen.
    recalled: BTreeSet<String>,
    /// Those that are there no more, by the name that another one has now.
    replaced: Remade,
    /// When all of its memberships were read last.
    whole: Option<Moment>,
}

/// So long a reading of all is as good as another one.
const READING_SERVES: Duration = Duration::from_secs(10);

impl Seen {
    fn note(&mut self, id: &str, name: &str) {
        if !self.recalled.remove(id) && self.roles.get(id).is_some_and(|known| known == name) {
            return;
        }
        // One that was made anew has another id.
        let recalled = self.recalled.clone();
        self.replace(name, |other| recalled.contains(other));
        self.replaced.remove(id);
        self.roles.insert(id.to_owned(), name.to_owned());
    }

    /// What goes of the roles of one name, because another one has it.
    fn replace(&mut self, name: &str, goes: impl Fn(&String) -> bool) {
        let (roles, replaced) = (&mut self.roles, &mut self.replaced);
        roles.retain(|id, known| {
            let gone = is_same_name(known, name) && goes(id);
            if gone {
                replaced.insert(id, known);
            }
            !gone
        });
        self.recalled.retain(|other| roles.contains_key(other));
    }
}

impl Families {
    pub(super) fn new(settings: &Settings) -> Self {
        // Ids are written in small letters by Snyk.
        let small = |one: &OneGroup| OneGroup {
            group: one.group.to_lowercase(),
            role_id: one.role_id.as_ref().map(|id| id.to_lowercase()),
            ..one.clone()
        };
        Self {
            groups: settings.groups.iter().map(small).collect(),
            precedence: settings.precedence.clone(),
            template: settings.display_name.clone(),
            seen: Mutex::default(),
            known: Mutex::default(),
        }
    }

    /// Whether all of these Snyk Groups, which the credential shows, are others than
    /// those that are known: then it is that of another organization. They are known
    /// from here on if not.
    pub(super) fn are_others(&self, shown: &[Group]) -> bool {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |group: &Group| known.contains(&group.id);
        if !known.is_empty() && !shown.is_empty() && !shown.iter().any(is_known) {
            return true;
        }
        known.extend(shown.iter().map(|group| group.id.clone()));
        false
    }

    /// The Snyk Groups of the configuration, each once; none if they are to be
    /// found.
    pub(super) fn configured(&self) -> Vec<String> {
        let mut ids: Vec<String> = Vec::new();
        for one in &self.groups {
            if !ids.contains(&one.group) {
                ids.push(one.group.clone());
            }
        }
        ids
    }

    /// Notes the roles that somebody has in a Snyk Group.
    pub(super) fn learn(&self, group: &str, memberships: &[Membership]) {
        let mut seen = self.seen();
        let seen = seen.entry(group.to_owned()).or_default();
        // What could not be told from a name of ours is no SCIM Group.
        let named = |it: &&Membership| ids(&name(group, &it.role_id)).is_some();
        let shown = memberships.iter().filter(named);
        // What a look may show for a moment of one that is there no more is no news.
        let shown = shown.filter(|it| !seen.replaced.is_moved(&it.role_id));
        for membership in shown.collect::<Vec<_>>() {
            seen.note(&membership.role_id, &membership.role_name);
        }
    }

    /// A role that somebody had once; what is seen is told more of than it.
    pub(super) fn recall(&self, group: &str, role: &str, name: &str) {
        let known = self.known.lock();
        known
            .unwrap_or_else(PoisonError::into_inner)
            .insert(group.to_owned());
        let mut seen = self.seen();
        let seen = seen.entry(group.to_owned()).or_default();
        if !seen.roles.contains_key(role) {
            seen.roles.insert(role.to_owned(), name.to_owned());
            seen.recalled.insert(role.to_owned());
        }
    }

    /// The same of all of its memberships: a role that is configured by a name is that
    /// of which somebody has it now.
    pub(super) fn learn_all(&self, group: &str, memberships: &[Membership]) {
        let had: BTreeMap<&str, &str> = memberships
            .iter()
            .map(|it| (it.role_id.as_str(), it.role_name.as_str()))
            .collect();
        if let Some(seen) = self.seen().get_mut(group) {
            had.keys().for_each(|id| seen.replaced.remove(id));
        }
        self.learn(group, memberships);
        let mut seen = self.seen();
        let seen = seen.entry(group.to_owned()).or_default();
        seen.whole = Some(Moment::now());
        for name in had.values().filter(|name| self.is_by_name(group, name)) {
            seen.replace(name, |id| !had.contains_key(id.as_str()));
        }
        let by_name = |name: &str| self.is_by_name(group, name);
        seen.replaced.learn(&had, by_name);
    }

    fn is_by_name(&self, group: &str, name: &str) -> bool {
        let mut by_name = self.of_group(group).filter(|one| one.role_id.is_none());
        by_name.any(|one| one.role.as_ref().is_some_and(|it| is_same_name(it, name)))
    }

    /// Whether what somebody has is by its name what a role was once, or is configured
    /// to be, and is another one.
    pub(super) fn is_made_anew(&self, group: &str, role: &str, (id, is): (&str, &str)) -> bool {
        if id == role {
            return false;
        }
        let seen = self.seen();
        let Some(seen) = seen.get(group) else {
            return false;
        };
        let by_name = |it: &&String| self.is_by_name(group, it);
        let named = seen.replaced.name_of(role);
        let named = named.or_else(|| seen.roles.get(role).filter(by_name));
        named.is_some_and(|named| is_same_name(named, is))
    }

    /// What a role was called that is there no more, as another one has its name.
    pub(super) fn was_called(&self, group: &str, role: &str) -> Option<String> {
        self.seen().get(group)?.replaced.name_of(role).cloned()
    }

    /// The SCIM Groups of such roles that are to go on as another role, each with the
    /// one of that.
    pub(super) fn remade(&self) -> Vec<(String, String)> {
        let seen = self.seen();
        let all = seen.iter().flat_map(|(group, seen)| {
            let open = seen.replaced.open();
            open.map(move |(from, to)| (name(group, from), name(group, to)))
        });
        all.collect()
    }

    pub(super) fn is_remade(&self, group: &str, role: &str) -> bool {
        let seen = self.seen();
        seen.get(group).is_some_and(|it| it.replaced.is_open(role))
    }

    /// Whether a role may turn out to be such a one by a reading of all, as another one
    /// of its name was seen.
    pub(super) fn may_be_remade(&self, group: &str, role: &str) -> bool {
        let seen = self.seen();
        let Some(seen) = seen.get(group) else {
            return false;
        };
        let was_read = seen
            .whole
            .as_ref()
            .is_some_and(|it| it.is_within(READING_SERVES));
        let named = seen.replaced.name_of(role).or_else(|| seen.roles.get(role));
        let Some(named) = named.filter(|it| self.is_by_name(group, it)) else {
            return false;
        };
        let mut roles = seen.roles.iter();
        let other = roles.any(|(id, name)| id != role && is_same_name(name, named));
        other && !was_read && seen.replaced.stays(role).is_none()
    }

    /// Why the SCIM Group of such a role does not go on as another one.
    pub(super) fn stays(&self, group: &str, role: &str) -> Option<String> {
        self.seen().get(group)?.replaced.stays(role).cloned()
    }

    pub(super) fn note_remade(&self, group: &str, role: &str, stays: Option<&str>) {
        if let Some(seen) = self.seen().get_mut(group) {
            seen.replaced.end(role, stays);
        }
    }

    /// The SCIM Groups of such roles.
    pub(super) fn replaced(&self) -> Vec<String> {
        let seen = self.seen();
        let all = seen
            .iter()
            .flat_map(|(group, seen)| seen.replaced.told().map(move |role| name(group, role)));
        all.collect()
    }

    pub(super) fn knows_all(&self, group: &str) -> bool {
        self.seen()
            .get(group)
            .is_some_and(|seen| seen.whole.is_some())
    }

    /// The name of a role, where it was seen.
    pub(super) fn name_of(&self, group: &str, role: &str) -> Option<String> {
        self.seen().get(group)?.roles.get(role).cloned()
    }

    /// The name of a role in Snyk's own spelling, by its id or its name in
    /// another one.
    pub(super) fn spelled(&self, group: &str, role: &str) -> Option<String> {
        let roles = self.roles_seen(group);
        let mut same = roles
            .iter()
            .filter(|(id, name)| *id == role || is_same_name(name, role));
        same.next().map(|(_, name)| name.clone())
    }

    fn roles_seen(&self, group: &str) -> BTreeMap<String, String> {
        let seen = self.seen();
        seen.get(group)
            .map(|it| it.roles.clone())
            .unwrap_or_default()
    }

    fn of_group<'a>(&'a self, group: &str) -> impl Iterator<Item = &'a OneGroup> {
        self.groups.iter().filter(move |one| one.group == group)
    }

    /// The roles of a Snyk Group that are SCIM Groups, the first before all
    /// others. One that is configured by a name that nobody has is left out.
    pub(super) fn roles(&self, group: &str) -> Vec<Role> {
        let seen = self.roles_seen(group);
        if !self.groups.is_empty() {
            let configured = self.of_group(group);
            return configured.filter_map(|one| resolve(one, &seen)).collect();
        }
        let mut roles: Vec<Role> = seen
            .into_iter()
            .map(|(id, name)| Role {
                id,
                name,
                called: None,
            })
            .collect();
        roles.sort_by_cached_key(|role| (order(&role.name, &self.precedence), role.id.clone()));
        roles
    }

    /// Where a role stands in its Snyk Group, 0 before all others, as far as
    /// that is known. Of roles that are configured by name, the only one that
    /// nobody has must be the one that was never seen.
    pub(super) fn place(&self, group: &str, role: &str) -> Option<usize> {
        if self.groups.is_empty() {
            return self.roles(group).iter().position(|it| it.id == role);
        }
        let seen = self.roles_seen(group);
        let resolved: Vec<Option<String>> = self
            .of_group(group)
            .map(|one| resolve(one, &seen).map(|role| role.id))
            .collect();
        let open = || {
            let mut open = resolved.iter().filter(|id| id.is_none());
            let only = open.next().is_some() && open.next().is_none();
            let unseen = !seen.contains_key(role);
            (only && unseen).then(|| resolved.iter().position(Option::is_none))?
        };
        let place = resolved.iter().position(|id| id.as_deref() == Some(role));
        place.or_else(open)
    }

    /// Whether a role is a SCIM Group, or may be one that is configured by a
    /// name, which nobody was seen to have yet.
    pub(super) fn offers(&self, group: &str, role: &str) -> bool {
        let open = || self.name_of(group, role).is_none() && !self.unresolved(group).is_empty();
        self.groups.is_empty() || self.place(group, role).is_some() || open()
    }

    /// Entries of the configuration whose role is not known yet, by their names.
    pub(super) fn unresolved(&self, group: &str) -> Vec<String> {
        let seen = self.roles_seen(group);
        let unresolved = self.of_group(group);
        let unresolved = unresolved.filter(|one| resolve(one, &seen).is_none());
        unresolved.filter_map(|one| one.role.clone()).collect()
    }

    /// Entries of the configuration that contradict what was seen of a Snyk Group, or
    /// are one role, each with what to do about it.
    pub(super) fn contradictions(&self, group: &str) -> Vec<(String, &'static str)> {
        let seen = self.roles_seen(group);
        let mut found = Vec::new();
        let mut met: HashMap<String, usize> = HashMap::new();
        for (n, one) in (1..).zip(&self.groups).filter(|(_, it)| it.group == group) {
            let named = one.role_id.as_ref().and_then(|id| seen.get(id));
            if let (Some(is), Some(said)) = (named, &one.role)
                && !is_same_name(is, said)
            {
                let what = format!(
                    "groups: entry {n}: its role_id is that of {is:?}, and not of {said:?}"
                );
                found.push((what, "correct role or role_id, or take role out"));
            }
            let Some(role) = resolve(one, &seen) else {
                continue;
            };
            if let Some(first) = met.get(&role.id) {
                let what = format!(
                    "groups: entry {n} is the same role as entry {first}, {:?}",
                    role.name
                );
                found.push((what, "take one of them out"));
            } else {
                met.insert(role.id, n);
            }
        }
        found
    }

    /// The SCIM Groups of a Snyk Group, with how many have each role.
    pub(super) fn remote(&self, group: &Group, memberships: &[Membership]) -> Vec<RemoteGroup> {
        let roles = self.roles(&group.id);
        let ranked = (0..).zip(roles);
        ranked
            .map(|(rank, role)| {
                let holders = memberships.iter().filter(|it| it.role_id == role.id);
                let mut found = self.one(group, &role, rank);
                found.member_count = Some(holders.count() as u64);
                found
            })
            .collect()
    }

    /// The SCIM Group of one role, if it is one.
    pub(super) fn remote_of(&self, group: &Group, role: &str) -> Option<RemoteGroup> {
        let mut ranked = (0..).zip(self.roles(&group.id));
        let (rank, role) = ranked.find(|(_, found)| found.id == role)?;
        Some(self.one(group, &role, rank))
    }

    /// The same of what it is an alternative to.
    pub(super) fn family(&self, group: &str, role: &str) -> Option<Family> {
        let mut ranked = (0..).zip(self.roles(group));
        let (rank, _) = ranked.find(|(_, found)| found.id == role)?;
        Some(family(group, rank))
    }

    fn one(&self, group: &Group, role: &Role, rank: u32) -> RemoteGroup {
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let called = role.called.clone();
        let called = called.unwrap_or_else(|| self.display_name(group, role));
        RemoteGroup {
            name: name(&group.id, &role.id),
            family: Some(family(&group.id, rank)),
            fields: [
                field("displayName", &called),
                field("group", &group.id),
                field("groupName", &group.name),
                field("role", &role.id),
                field("roleName", &role.name),
            ]
            .into(),
            ..RemoteGroup::default()
        }
    }

    fn display_name(&self, group: &Group, role: &Role) -> String {
        let role_name = if role.name.is_empty() {
            &role.id
        } else {
            &role.name
        };
        fill(&self.template, group, role, role_name)
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn family(group: &str, rank: u32) -> Family {
    Family {
        name: group.to_owned(),
        rank,
    }
}

/// The application's name of a SCIM Group: the ids of Snyk Group and role.
pub(super) fn name(group: &str, role: &str) -> String {
    format!("{group}/{role}")
}

/// The ids in such a name.
pub(super) fn ids(name: &str) -> Option<(&str, &str)> {
    let (group, role) = name.split_once('/')?;
    let fits = !group.is_empty() && !role.is_empty() && !role.contains('/');
    fits.then_some((group, role))
}

fn resolve(one: &OneGroup, seen: &BTreeMap<String, String>) -> Option<Role> {
    let named = |name: &String| {
        let mut seen = seen.iter();
        let found = seen.find(|(_, known)| is_same_name(known, name));
        found.map(|(id, _)| id.clone())
    };
    let by_name = || one.role.as_ref().and_then(named);
    let id = one.role_id.clone().or_else(by_name)?;
    let name = seen.get(&id).or(one.role.as_ref());
    Some(Role {
        name: name.cloned().unwrap_or_default(),
        called: one.display_name.clone(),
        id,
    })
}

/// What may stand in braces in the template of a display name.
pub(super) const FIELDS: [&str; 4] = ["group", "role", "group_id", "role_id"];

/// One pass, so that a name with braces in it stays what it is.
fn fill(template: &str, group: &Group, role: &Role, role_name: &str) -> String {
    let values = [&group.name, role_name, &group.id, &role.id];
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let end = after.find('}').unwrap_or(after.len());
        let place = FIELDS.iter().position(|field| *field == &after[..end]);
        if let Some(place) = place {
            filled.push_str(values[place]);
        }
        rest = after.get(end + 1..).unwrap_or_default();
    }
    filled + rest
}

#[cfg(test)]
mod tests;
