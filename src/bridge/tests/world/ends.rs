//! How a world ends: without faults, until all is as wanted, and what is seen then.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use super::{
    CALM, CONNECTION, LATE, OWN_NAME, PATIENCE, READ_LAG, World,
    checker::{Evidence, Shown},
    listed, lock, now,
};
use crate::{
    bridge::Bridge,
    plan::state::GroupKey,
    scim::resource::{ResourceId, ResourceType},
    store::{RefusedAct, Store},
    upstream::Millis,
};

impl World {
    async fn shown(&self, store: &dyn Store) -> Shown {
        let c = store.connection(CONNECTION).await.unwrap();
        let mut shown = Shown::default();
        let mut by_id = BTreeMap::new();
        for (id, it) in listed(store, CONNECTION, ResourceType::User).await {
            let name = it.text("userName").unwrap().to_owned();
            by_id.insert(id.to_string(), name.clone());
            let text = |of: &str| it.text(of).map(str::to_owned);
            let fields = (text("userType"), text("title"));
            shown.fields.insert(name.clone(), fields);
            shown.users.insert(name, it.active());
        }
        for (id, it) in listed(store, CONNECTION, ResourceType::Group).await {
            let members = store.members(c, id).await.unwrap().unwrap();
            let members = members.ids.iter().map(|id| by_id[&id.to_string()].clone());
            let name = it.text(OWN_NAME).unwrap().to_owned();
            shown.groups.insert(name, members.collect());
        }
        shown
    }

    /// No more faults: waits until all is as wanted, and then for some calm.
    pub(super) async fn end(&self, bridge: &Bridge, store: &dyn Store) -> Evidence {
        self.app.be_well();
        let from = now();
        let again = LATE + READ_LAG + Duration::from_secs(15);
        tokio::time::sleep(again).await;
        let again = Millis::try_from(again.as_millis()).unwrap();
        let open = || self.app.awaits_late_calls() || now() < self.app.unclear() + again;
        let evidence = async || Evidence {
            well: from,
            ..self.evidence(bridge, store).await
        };
        let mut seen = evidence().await;
        while now() < from + PATIENCE && (open() || !seen.verdict().is_empty()) {
            tokio::time::sleep(Duration::from_secs(15)).await;
            seen = evidence().await;
        }
        let calm = now();
        tokio::time::sleep(CALM).await;
        Evidence {
            calm,
            settled_in: calm - from,
            ..evidence().await
        }
    }

    pub(super) async fn evidence(&self, bridge: &Bridge, store: &dyn Store) -> Evidence {
        let key = bridge.connections[0].key;
        let counts = store.counts(key).await.unwrap();
        let name_of = |known: &Mutex<BTreeMap<String, String>>, id: ResourceId| {
            let known = lock(known);
            let found = known.iter().find(|(_, held)| **held == id.to_string());
            found.map(|(name, _)| name.clone())
        };
        let refused = store.refusals(key, 1_000).await.unwrap().into_iter();
        self.look_up(store).await;
        let shown = self.shown(store).await;
        let told = refused.filter_map(|it| {
            let group = name_of(&self.groups, it.group)?;
            let user = name_of(&self.users, it.user)?;
            // Only of who is inactive it may be told later.
            let is_told = !it.sleeps || shown.users.get(&user) == Some(&false);
            is_told.then_some(((group, user), it.at))
        });
        let refused = store.refused_resources(key, 1_000).await.unwrap();
        let of_groups = |asked: RefusedAct| {
            let all = refused.iter().filter(|it| it.of == ResourceType::Group);
            all.filter(move |it| it.asked == asked)
        };
        let not_made = of_groups(RefusedAct::Create).filter_map(|it| name_of(&self.groups, it.id));
        // What is deleted has no name any more but for who has seen it all.
        let kept = of_groups(RefusedAct::Delete).filter_map(|it| {
            let operators = self.operators.as_ref()?;
            operators.name_of(&it.id.to_string())
        });
        let ends = refused.iter().filter(|it| {
            let ends = matches!(it.asked, RefusedAct::Delete | RefusedAct::Deactivate);
            it.of == ResourceType::User && ends
        });
        let not_ended = ends.filter_map(|it| {
            let operators = self.operators.as_ref()?;
            operators.name_of(&it.id.to_string())
        });
        let left_alone = store.left_alone(key, 1_000).await.unwrap();
        let history = lock(&self.history).clone();
        let operated = match &self.operators {
            Some(operators) => Some(operators.seen(store, &self.app).await),
            None => None,
        };
        Evidence {
            operated,
            history,
            log: self.app.log(),
            stock: self.app.stock(),
            told: told.collect(),
            told_whole: counts.refused_users + counts.refused_groups,
            not_made: not_made.collect(),
            kept_before: kept.collect(),
            not_ended: not_ended.collect(),
            left_alone: left_alone.into_iter().map(|it| it.title).collect(),
            gone: store.gone_groups(key, GroupKey(0), 9).await.unwrap().len(),
            keeps: self.app.keeps_accounts(),
            shown,
            calls: self.app.calls(),
            calm: Millis::MAX,
            settled_in: 0,
            well: Millis::MAX,
        }
    }
}
