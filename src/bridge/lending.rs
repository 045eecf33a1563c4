//! Calls that a command sends beside this server with a credential of one of its
//! connections: they are counted here, so that both together keep to the limits.

use std::{sync::Arc, time::Duration};

use super::{Operator, clock};
use crate::upstream::{Millis, PutOff, Upstream};

impl Operator {
    /// Waits until a call may be sent at once, and tells when that was; `None` where
    /// nobody here has the credential (see [`Upstream::budget`]).
    pub async fn lend(&self, budget: &str) -> Option<Result<Millis, PutOff>> {
        let upstream = self.counter(budget)?;
        Some(upstream.lend().await.map(|()| clock::now()))
    }

    /// The application has asked for silence there.
    pub fn be_silent(&self, budget: &str, pause: Duration) {
        if let Some(upstream) = self.counter(budget) {
            upstream.be_silent(pause);
        }
    }

    fn counter(&self, budget: &str) -> Option<Arc<dyn Upstream>> {
        let mut connections = self.bridge.connections.iter();
        let found = connections.find(|it| {
            let own = it.upstream.budget();
            own.is_some_and(|own| own.hex() == budget)
        });
        found.map(|it| Arc::clone(&it.upstream))
    }
}
