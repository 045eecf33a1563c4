//! A client's look at everything that it alone writes: what is there now is
//! compared with what it was told, and what was true of the versions must stay.

use std::sync::atomic::Ordering;

use serde_json::Value;

use super::{
    client::{ANSWER, Client, Named, member, version},
    history::{Key, State},
};
use crate::support::address;

impl Client {
    /// False when it could not look to the end, because of the next kill or
    /// because it is told to stop; nothing is concluded then.
    pub async fn look(&mut self) -> bool {
        // What is not answered by this process is looked at in the next.
        self.base.mark_unchanged();
        if let Some(now) = self.now().await {
            self.ledger.look(now);
            return true;
        }
        if !self.stop.load(Ordering::Relaxed) {
            self.wait().await;
        }
        self.base.mark_changed();
        false
    }

    async fn now(&mut self) -> Option<State> {
        let mut now = State::new();
        for group in self.shared.clone() {
            self.members(&group, &mut now).await?;
        }
        let own = self.own.clone();
        for stranger in self.members(&own, &mut now).await? {
            self.ledger.odd(format!("{stranger} in {}", own.name));
        }
        self.activities(&mut now).await?;
        let new = self.users_called(&format!("new{}x", self.number)).await?;
        for name in &self.asked_for {
            let is_there = new.iter().any(|it| it["userName"] == address(name));
            now.insert(Key::Exists(name.clone()), is_there);
        }
        Some(now)
    }

    /// Who of its own users is in; gives back whoever else is.
    async fn members(&mut self, group: &Named, now: &mut State) -> Option<Vec<String>> {
        let path = format!("/Groups/{}", group.id);
        let (found, version) = self.read(&path).await?;
        self.ledger.version(&path, version?);
        let list = found["members"].as_array().into_iter().flatten();
        let ids = list.filter_map(|member| member["value"].as_str());
        let mut strangers: Vec<String> = ids.map(str::to_owned).collect();
        for user in &self.users {
            let before = strangers.len();
            strangers.retain(|id| *id != user.id);
            now.insert(member(group, user), strangers.len() < before);
        }
        for id in strangers.iter().filter(|id| !self.names.contains_key(*id)) {
            self.ledger.odd(format!("nobody has the id {id} in {path}"));
        }
        Some(strangers)
    }

    async fn activities(&mut self, now: &mut State) -> Option<()> {
        let list = self.users_called(&format!("c{}u", self.number)).await?;
        for user in &self.users {
            let shown = list.iter().find(|it| it["id"] == user.id.as_str());
            let active = shown.is_some_and(|it| it["active"] == true);
            now.insert(Key::Active(user.name.clone()), active);
            if shown.is_none() {
                self.ledger.odd(format!("{} is gone", user.name));
            }
        }
        Some(())
    }

    /// All whose names begin so.
    async fn users_called(&self, prefix: &str) -> Option<Vec<Value>> {
        let mut all = Vec::new();
        loop {
            let path = format!(
                "/Users?startIndex={}&attributes=userName,active&filter=userName%20sw%20%22{prefix}%22",
                all.len() + 1
            );
            let (page, _) = self.read(&path).await?;
            let list = page["Resources"].as_array().filter(|list| !list.is_empty());
            all.extend(list.into_iter().flatten().cloned());
            if list.is_none() || page["totalResults"] == all.len() {
                return Some(all);
            }
        }
    }

    async fn read(&self, path: &str) -> Option<(Value, Option<u64>)> {
        let base = self.base.borrow().clone();
        let request = self.http.get(format!("{base}{path}"));
        let request = request.bearer_auth(&self.token).timeout(ANSWER);
        let answer = request.send().await.ok()?;
        let answer = answer.error_for_status().ok()?;
        let version = version(&answer);
        let text = answer.text().await.ok()?;
        Some((serde_json::from_str(&text).ok()?, version))
    }
}
