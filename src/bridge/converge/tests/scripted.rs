//! An application that answers by script, and tells what was asked of it.

use super::*;

type Answer = Box<dyn Fn(&Operation) -> Result<Outcome, UpstreamError> + Send + Sync>;

pub(in crate::bridge) struct Scripted {
    pub(in crate::bridge) can: Capabilities,
    pub(super) answer: Answer,
    pub(in crate::bridge) sent: Mutex<Vec<Operation>>,
    pub(in crate::bridge) members: Mutex<VecDeque<Vec<RemoteMember>>>,
    pub(in crate::bridge) group: Option<RemoteGroup>,
    pub(super) user: Option<RemoteUser>,
    /// How far its clock is.
    pub(super) behind: Millis,
    /// What is found by what it is called.
    pub(super) called: Vec<RemoteGroup>,
    pub(in crate::bridge) families: bool,
    /// Groups that it has and does not offer.
    pub(super) withheld: Vec<String>,
    /// What was asked for by what it is called, and since when.
    pub(super) asked_for: Mutex<Vec<(String, Millis)>>,
    /// Nothing is shown.
    pub(in crate::bridge) blind: bool,
    /// No list of members is found.
    pub(in crate::bridge) unlisted: bool,
    /// Nobody answers there.
    pub(in crate::bridge) away: bool,
    /// Looks at an account that do not show it before others do.
    pub(super) unshown: AtomicUsize,
    /// Looks at members that fail before others do not.
    pub(in crate::bridge) failing: AtomicUsize,
    /// For how long what gives access waits before it leaves.
    pub(in crate::bridge) waits: Duration,
    /// Looks at the credential until there is another one.
    pub(in crate::bridge) refused: AtomicUsize,
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

pub(in crate::bridge) fn scripted(
    answer: impl Fn(&Operation) -> Result<Outcome, UpstreamError> + Send + Sync + 'static,
) -> Scripted {
    use Act::{
        AddMembers, CreateGroup, CreateUser, DeactivateUser, DeleteGroup, RemoveMembers,
        ReplaceMembers, SetRole, UpdateProfile,
    };
    let acts = [
        CreateUser,
        DeactivateUser,
        SetRole,
        UpdateProfile,
        CreateGroup,
        DeleteGroup,
        AddMembers,
        RemoveMembers,
        ReplaceMembers,
    ];
    let row = |act| Capability {
        act,
        able: true,
        batch: 1_000,
        by: Identifier::Name,
        certainty: Certainty::Documented,
        note: "".into(),
    };
    Scripted {
        can: Capabilities {
            application: "Test".into(),
            rows: acts.into_iter().map(row).collect(),
        },
        answer: Box::new(answer),
        sent: Mutex::default(),
        members: Mutex::default(),
        group: None,
        user: None,
        behind: 0,
        called: Vec::new(),
        families: false,
        withheld: Vec::new(),
        unshown: AtomicUsize::new(0),
        failing: AtomicUsize::new(0),
        asked_for: Mutex::default(),
        blind: false,
        unlisted: false,
        away: false,
        waits: Duration::ZERO,
        refused: AtomicUsize::new(0),
    }
}

impl Scripted {
    pub(super) fn calls(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    pub(super) fn removes_singly(&mut self) {
        self.takes_at_once(Act::RemoveMembers, 1);
    }

    pub(super) fn takes_at_once(&mut self, act: Act, batch: usize) {
        if let Some(row) = self.can.rows.iter_mut().find(|row| row.act == act) {
            row.batch = batch;
        }
    }

    fn looked(&self) -> Result<(), UpstreamError> {
        let nothing = || UpstreamError::Later {
            after: Some(Duration::from_secs(3)),
            reason: "429".into(),
        };
        (!self.blind).then_some(()).ok_or_else(nothing)
    }
}

#[async_trait]
impl Upstream for Scripted {
    fn capabilities(&self) -> &Capabilities {
        &self.can
    }
    fn has_families(&self) -> bool {
        self.families
    }
    fn clock_behind(&self) -> Millis {
        self.behind
    }
    fn offers(&self, name: &str) -> bool {
        !self.withheld.iter().any(|it| it == name)
    }
    fn schemas(&self) -> Arc<Schemas> {
        Arc::new(Schemas::new(&[], &[]))
    }
    fn project(&self, _: &Attributes) -> Result<Projection, Problem> {
        Err(Problem::new(500, "not asked here"))
    }
    fn group_name(&self, name: &str) -> Result<String, Problem> {
        Ok(name.into())
    }
    fn brake(&self, _: bool) {}

    fn condition(&self) -> Condition {
        Condition {
            unreachable: self.away,
            ..Condition::default()
        }
    }

    fn is_refused(&self) -> bool {
        is_left(&self.refused)
    }
    fn plain_role(&self) -> Option<&str> {
        Some("plain")
    }
    fn user_attributes(&self, _: &RemoteUser, _: Option<&RemoteProfile>) -> Attributes {
        Attributes::default()
    }
    async fn profiles(&self) -> Result<Vec<RemoteProfile>, UpstreamError> {
        Ok(Vec::new())
    }
    fn group_attributes(&self, remote: &RemoteGroup) -> Attributes {
        let title = remote.fields.get("title").cloned();
        let named = title.map(|title| ("displayName".to_owned(), title.into()));
        Attributes(named.into_iter().collect())
    }
    fn adorn_group(&self, _: &mut Attributes, _: &str) {}
    async fn users(&self) -> Result<Vec<RemoteUser>, UpstreamError> {
        Ok(Vec::new())
    }
    async fn groups(&self) -> Result<Vec<RemoteGroup>, UpstreamError> {
        Ok(Vec::new())
    }
    async fn members(&self, _: &str) -> Result<Vec<RemoteMember>, UpstreamError> {
        if self.unlisted {
            let reason = "404".into();
            return Err(UpstreamError::Missing { reason });
        }
        self.looked()?;
        if is_left(&self.failing) {
            let reason = "500".into();
            return Err(UpstreamError::Unknown { reason });
        }
        Ok(self.members.lock().unwrap().pop_front().unwrap_or_default())
    }
    async fn user(&self, _: &str) -> Result<Option<RemoteUser>, UpstreamError> {
        self.looked()?;
        if is_left(&self.unshown) {
            return Ok(None);
        }
        Ok(self.user.clone())
    }
    async fn group(&self, _: &str) -> Result<Option<RemoteGroup>, UpstreamError> {
        self.looked()?;
        Ok(self.group.clone())
    }
    async fn groups_called(
        &self,
        title: &str,
        since: Millis,
    ) -> Result<Vec<RemoteGroup>, UpstreamError> {
        self.looked()?;
        let asked_for = (title.to_owned(), since);
        self.asked_for.lock().unwrap().push(asked_for);
        Ok(self.called.clone())
    }
    async fn apply(&self, operation: &Operation) -> Result<Outcome, UpstreamError> {
        use Operation::{AddMembers, CreateGroup, CreateUser, SetRole};
        let gives = |it: &Operation| {
            matches!(
                it,
                AddMembers { .. } | CreateGroup { .. } | CreateUser { .. } | SetRole { .. }
            )
        };
        if !self.waits.is_zero() && gives(operation) {
            unless_recalled(true, tokio::time::sleep(self.waits), drop).await?;
        }
        self.sent.lock().unwrap().push(operation.clone());
        (self.answer)(operation)
    }
    async fn check(&self) -> Vec<Finding> {
        Vec::new()
    }
}

/// Counts down to nothing.
pub(super) fn is_left(of: &AtomicUsize) -> bool {
    let fewer = |left: usize| left.checked_sub(1);
    of.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer)
        .is_ok()
}

pub(in crate::bridge) fn all_done(operation: &Operation) -> Result<Outcome, UpstreamError> {
    let members = members_of(operation)
        .into_iter()
        .map(|user| (user, MemberOutcome::Applied))
        .collect();
    Ok(Outcome {
        members,
        ..Outcome::default()
    })
}
