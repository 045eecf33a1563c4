//! The judge of a world of roles: what SCIM shows must be what was asked for,
//! and the application must have what SCIM shows, the first of each family.
//! An empty verdict is a good one.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    World, accounts,
    application::{FAMILIES, ROLES, name_of},
};
use crate::{
    bridge::{
        Bridge,
        tests::world::{OWN_NAME, listed, lock},
    },
    scim::resource::{ResourceId, ResourceType},
    store::Store,
};

impl World {
    pub(super) async fn verdict(&self, bridge: &Bridge, store: &dyn Store) -> Vec<String> {
        let mut found = Vec::new();
        let key = bridge.connections[0].key;
        let mut shown = BTreeMap::new();
        for (id, it) in listed(store, ResourceType::User).await {
            shown.insert(id, (it.text("userName").unwrap().to_owned(), it.active()));
        }
        let mut members: BTreeMap<String, BTreeSet<ResourceId>> = BTreeMap::new();
        for (id, it) in listed(store, ResourceType::Group).await {
            let of = store.members(key, id).await.unwrap().unwrap();
            let name = it.text(OWN_NAME).unwrap().to_owned();
            members.insert(name, of.ids.iter().copied().collect());
        }
        let asked = lock(&self.asked);
        for user in accounts() {
            let entry = shown.iter().find(|(_, (name, _))| *name == user);
            let is_in = |group: &str| entry.is_some_and(|(id, _)| members[group].contains(id));
            let active = entry.is_some_and(|(_, (_, active))| *active);
            let exists = asked
                .exists
                .get(&user)
                .is_none_or(|may| may.contains(&entry.is_some()));
            let as_active = entry.is_none()
                || asked
                    .active
                    .get(&user)
                    .is_some_and(|may| may.contains(&active));
            if !exists || !as_active {
                found.push(format!(
                    "{user} is shown as {entry:?} and was asked otherwise"
                ));
            }
            for family in FAMILIES {
                let groups = (0..ROLES.len()).map(|rank| name_of(family, rank));
                for group in groups.clone() {
                    let may = asked.pairs.get(&(group.clone(), user.clone()));
                    if entry.is_some()
                        && !may.map_or(!is_in(&group), |may| may.contains(&is_in(&group)))
                    {
                        found.push(format!(
                            "{user} in {group}: shown {}, asked {may:?}",
                            is_in(&group)
                        ));
                    }
                }
                let counts = groups.clone().position(|group| active && is_in(&group));
                let has = self.app.has(&user, family);
                if has != counts {
                    found.push(format!(
                        "{user} has {has:?} in {family} and should {counts:?}"
                    ));
                }
            }
        }
        for change in self.app.log() {
            let Some(rank) = change.rank else { continue };
            let pair = (name_of(&change.family, rank), change.account.clone());
            if asked.ever.get(&pair).is_none_or(|since| *since > change.at) {
                found.push(format!("invented: {change:?}"));
            }
        }
        drop(asked);
        let counts = store.counts(key).await.unwrap();
        if counts.staged_users + counts.pending_users > 0 {
            found.push(format!("still open: {counts:?}"));
        }
        let refused = store.refusals(key, 9).await.unwrap();
        found.extend(refused.iter().map(|it| format!("refused: {it:?}")));
        found
    }
}
