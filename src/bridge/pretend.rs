//! An application that does whatever it is asked, so that a rehearsal can go on
//! behind a call. Pure answers are the real application's; nothing is sent to
//! it, and what only a look at it could tell is not known here: whoever wants
//! to look is told "later", and that it was so is noted.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use async_trait::async_trait;

use crate::{
    plan::{capability::Capabilities, operation::Operation, state::Principal},
    scim::{error::Problem, resource::Attributes, schema::Schemas},
    upstream::{
        Condition, Finding, MemberOutcome, Millis, Outcome, Projection, RemoteGroup, RemoteMember,
        RemoteProfile, RemoteUser, Upstream, UpstreamError,
    },
};

#[derive(Debug)]
pub(super) struct Pretend {
    real: Arc<dyn Upstream>,
    looked: AtomicBool,
    made: AtomicUsize,
}

impl Pretend {
    pub(super) fn new(real: Arc<dyn Upstream>) -> Self {
        Self {
            real,
            looked: AtomicBool::new(false),
            made: AtomicUsize::new(0),
        }
    }

    /// Whether somebody wanted to look at the application since this was asked
    /// last.
    pub(super) fn looked(&self) -> bool {
        self.looked.swap(false, Ordering::Relaxed)
    }

    fn not_known<T>(&self) -> Result<T, UpstreamError> {
        self.looked.store(true, Ordering::Relaxed);
        Err(UpstreamError::Later {
            after: None,
            reason: "a rehearsal does not look".into(),
        })
    }
}

fn all_done(members: &[Principal]) -> Outcome {
    let done = members.iter().map(|it| (it.user, MemberOutcome::Applied));
    Outcome {
        members: done.collect(),
        ..Outcome::default()
    }
}

#[async_trait]
impl Upstream for Pretend {
    fn capabilities(&self) -> &Capabilities {
        self.real.capabilities()
    }

    fn has_families(&self) -> bool {
        self.real.has_families()
    }

    fn finds_accounts(&self) -> bool {
        self.real.finds_accounts()
    }

    fn schemas(&self) -> Arc<Schemas> {
        self.real.schemas()
    }

    fn project(&self, user: &Attributes) -> Result<Projection, Problem> {
        self.real.project(user)
    }

    fn plain_role(&self) -> Option<&str> {
        self.real.plain_role()
    }

    fn group_name(&self, display_name: &str) -> Result<String, Problem> {
        self.real.group_name(display_name)
    }

    fn user_attributes(&self, remote: &RemoteUser, profile: Option<&RemoteProfile>) -> Attributes {
        self.real.user_attributes(remote, profile)
    }

    fn group_attributes(&self, remote: &RemoteGroup) -> Attributes {
        self.real.group_attributes(remote)
    }

    fn adorn_group(&self, attributes: &mut Attributes, name: &str) {
        self.real.adorn_group(attributes, name);
    }

    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        self.not_known()
    }

    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError> {
        self.not_known()
    }

    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError> {
        self.not_known()
    }

    /// The look before a replacement: that nobody else is found is the way on.
    async fn members(&self, _: &str) -> Result<Vec<RemoteMember>, UpstreamError> {
        self.looked.store(true, Ordering::Relaxed);
        Ok(Vec::new())
    }

    async fn user(&self, _: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        self.not_known()
    }

    async fn group(&self, _: &str) -> Result<Option<RemoteGroup>, UpstreamError> {
        self.not_known()
    }

    async fn groups_called(&self, _: &str, _: Millis) -> Result<Vec<RemoteGroup>, UpstreamError> {
        self.not_known()
    }

    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError> {
        Ok(match operation {
            Operation::CreateGroup { members, .. } => {
                let number = self.made.fetch_add(1, Ordering::Relaxed);
                Outcome {
                    upstream_id: Some(format!("(new {})", number + 1)),
                    ..all_done(members)
                }
            }
            Operation::AddMembers { members, .. }
            | Operation::RemoveMembers { members, .. }
            | Operation::ReplaceMembers { members, .. } => all_done(members),
            _ => Outcome::default(),
        })
    }

    fn is_refused(&self) -> bool {
        false
    }

    fn brake(&self, _: bool) {}

    fn condition(&self) -> Condition {
        Condition::default()
    }

    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
}
