//! What the application answers, each call with the fate that it is given.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use async_trait::async_trait;

use super::{
    super::{below, chance, now},
    Application, Lie, OWN_NAME, OnItsWay, PLAIN, lost, missing, not_now, refused,
};
use crate::{
    plan::{capability::Capabilities, operation::Operation, state::Account},
    scim::{error::Problem, resource::Attributes, schema::Schemas},
    upstream::{
        Condition, Finding, MemberOutcome, Outcome, Projection, RemoteGroup, RemoteMember,
        RemoteProfile, RemoteUser, Upstream, UpstreamError, unless_recalled,
    },
};

/// How a call goes, apart from what it asks for.
enum Fate {
    Well,
    NotNow,
    LostBefore,
    LostAfter,
    Late,
    /// Done in part, and told in part.
    Partly,
    Refused,
}

fn fate(percent: u64) -> Fate {
    if !chance(percent) {
        return Fate::Well;
    }
    match below(16) {
        0..4 => Fate::NotNow,
        4..6 => Fate::LostBefore,
        6..9 => Fate::LostAfter,
        9..13 => Fate::Late,
        13..15 => Fate::Partly,
        _ => Fate::Refused,
    }
}

#[async_trait]
impl Upstream for Application {
    fn capabilities(&self) -> &Capabilities {
        &self.can
    }
    fn schemas(&self) -> Arc<Schemas> {
        Arc::clone(&self.schemas)
    }
    fn project(&self, user: &Attributes) -> Result<Projection, Problem> {
        let text = |of: &str| user.text(of).filter(|_| self.nature.roles);
        let title = text("title").map(|it| ("title".to_owned(), it.to_owned()));
        Ok(Projection {
            key: user.text("userName").map(str::to_lowercase),
            account: Account {
                active: user.active(),
                role: text("userType").map(str::to_owned),
                profile: title.into_iter().collect(),
                ..Account::default()
            },
        })
    }
    fn group_name(&self, name: &str) -> Result<String, Problem> {
        Ok(name.to_lowercase())
    }
    fn brake(&self, stopped: bool) {
        self.braked.store(stopped, SeqCst);
    }
    fn condition(&self) -> Condition {
        Condition::default()
    }
    fn is_refused(&self) -> bool {
        false
    }
    fn plain_role(&self) -> Option<&str> {
        self.nature.roles.then_some(PLAIN)
    }
    fn user_attributes(&self, _: &RemoteUser, _: Option<&RemoteProfile>) -> Attributes {
        Attributes::default()
    }
    fn group_attributes(&self, _: &RemoteGroup) -> Attributes {
        Attributes::default()
    }
    fn adorn_group(&self, attributes: &mut Attributes, name: &str) {
        attributes.0.insert(OWN_NAME.into(), name.into());
    }
    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError> {
        Ok(Vec::new())
    }
    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        Ok(Vec::new())
    }
    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError> {
        Ok(Vec::new())
    }
    async fn members(&self, group: &str) -> Result<Vec<RemoteMember>, UpstreamError> {
        let stock = self.look().await?;
        let members = stock.groups.get(group).ok_or_else(missing)?;
        let member = |account: &String| RemoteMember {
            account: Some(account.clone()),
            ..RemoteMember::default()
        };
        Ok(members.iter().map(member).collect())
    }
    async fn user(&self, account: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        let stock = self.look().await?;
        let held = stock.accounts.get(account).filter(|held| held.0);
        Ok(held.map(|(_, created)| RemoteUser {
            account: account.to_owned(),
            active: true,
            created: Some(*created).filter(|_| !self.nature.keeps),
            ..RemoteUser::default()
        }))
    }
    async fn group(&self, name: &str) -> Result<Option<RemoteGroup>, UpstreamError> {
        let stock = self.look().await?;
        Ok(stock.groups.get(name).map(|members| RemoteGroup {
            name: name.to_owned(),
            member_count: Some(members.len() as u64),
            ..RemoteGroup::default()
        }))
    }
    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError> {
        let faults = self.lock().faults;
        let mut fate = fate(faults);
        if self.lie == Lie::TooLate && chance(20) {
            fate = Fate::Late;
        }
        if chance(10) {
            // For the limit, as long as it is wanted.
            let wait = Duration::from_millis(below(4_000));
            unless_recalled(true, tokio::time::sleep(wait), drop).await?;
        }
        if !self.passes(operation) {
            return Err(UpstreamError::Later {
                after: Some(Duration::from_secs(1)),
                reason: "the operator has stopped all writes".into(),
            });
        }
        if matches!(fate, Fate::NotNow) {
            return Err(not_now());
        }
        if std::env::var_os("WORLD").is_some() {
            println!("{} {operation:?}", now());
        }
        let number = {
            let calls = &mut self.lock().calls;
            calls.push(now());
            calls.len()
        };
        let mut on_its_way = OnItsWay {
            app: self,
            number,
            operation: Some(operation.clone()),
        };
        self.takes_its_time().await;
        on_its_way.operation = None;
        let answer = match fate {
            Fate::LostBefore => Err(lost()),
            Fate::Late => {
                self.lands_later(operation.clone());
                Err(lost())
            }
            Fate::LostAfter => {
                let _ = self.act(operation, false);
                Err(lost())
            }
            Fate::Refused if self.refuses(operation) => Err(refused()),
            Fate::Partly => self.act(operation, true),
            _ => self.act(operation, false),
        };
        self.takes_its_time().await;
        let clear = answer.as_ref().is_ok_and(|outcome| {
            let mut members = outcome.members.iter();
            members.all(|(_, outcome)| *outcome == MemberOutcome::Applied)
        });
        if !clear {
            self.lock().unclear = now();
        }
        if std::env::var_os("WORLD").is_some() {
            println!("{} = {answer:?}", now());
        }
        answer
    }
    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
}
