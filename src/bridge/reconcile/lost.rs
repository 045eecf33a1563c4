//! Families that the application does not show any more. That proves nothing, as a
//! credential may have lost them; an operator who says so is believed, where two looks
//! agree (reliability: I-22).

use super::{Failure, Order, Session, store_failed};

impl Session {
    /// Those of which nothing is there any more, by the application's names.
    pub(super) async fn lose(&self, order: Order) -> Result<Vec<String>, Failure> {
        let (store, connection) = (&self.bridge.store, &self.connection);
        if !order.shrunk || !connection.upstream.has_families() {
            return Ok(Vec::new());
        }
        let known = store.families(connection.key).await.map_err(store_failed)?;
        let mut lost = self.unseen(known).await;
        if !lost.is_empty() {
            tokio::time::sleep(connection.policy.read_lag).await;
            lost = self.unseen(lost).await;
        }
        for family in &lost {
            tracing::warn!(
                connection = %connection.name, %family,
                "it is not there any more and is gone, as an operator says; whoever was to leave it has"
            );
            let lanes = store.lose_family(connection.key, family.clone(), self.actor());
            connection
                .lanes
                .kick_all(lanes.await.map_err(store_failed)?);
        }
        Ok(lost)
    }

    async fn unseen(&self, families: Vec<String>) -> Vec<String> {
        let mut unseen = Vec::new();
        for family in families {
            match self.connection.upstream.is_unseen(&family).await {
                Ok(true) => unseen.push(family),
                Ok(false) => {}
                Err(error) => tracing::warn!(
                    connection = %self.connection.name, %family, %error,
                    "whether it is there is not known, so it is not taken to be gone"
                ),
            }
        }
        unseen
    }
}
