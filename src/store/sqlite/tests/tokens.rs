//! Tokens in the audit: what has changed, once, and by their ids.
use super::*;
use crate::store::{
    SeenToken,
    TokenState::{self, Expired, Live, Revoked},
};

fn token(id: &str, state: TokenState) -> SeenToken {
    SeenToken {
        id: id.into(),
        created: 1_000,
        expires: 2_000,
        state,
    }
}

impl Scene {
    async fn told(&self, tokens: &[SeenToken]) -> Vec<(String, String)> {
        let before = self.store.audit(0, 1_000).await.unwrap().len();
        let note = self.store.note_tokens(self.c, tokens.to_vec(), actor());
        note.await.unwrap();
        let rows = self.store.audit(0, 1_000).await.unwrap();
        let name = |detail: &str| {
            let detail: serde_json::Value = serde_json::from_str(detail).unwrap();
            detail["token"].as_str().unwrap().to_owned()
        };
        let told = rows[before..].iter();
        told.map(|row| (row.action.clone(), name(&row.detail)))
            .collect()
    }
}

fn rows(of: &[(&str, &str)]) -> Vec<(String, String)> {
    let own = |(action, token): &(&str, &str)| ((*action).to_owned(), (*token).to_owned());
    of.iter().map(own).collect()
}

#[tokio::test]
async fn what_became_of_a_token_is_recorded_once_and_outlives_a_restart() {
    let scene = Scene::new().await;
    let first = [token("a", Live), token("b", Revoked)];
    let told = [
        ("create_token", "a"),
        ("create_token", "b"),
        ("revoke_token", "b"),
    ];
    assert_eq!(scene.told(&first).await, rows(&told));
    assert_eq!(scene.told(&first).await, rows(&[]));
    let scene = scene.reopen().await;
    assert_eq!(scene.told(&first).await, rows(&[]));
    let later = [token("a", Expired)];
    let told = [("expire_token", "a"), ("forget_token", "b")];
    assert_eq!(scene.told(&later).await, rows(&told));
    // A clock that was put back makes no new token of it.
    assert_eq!(scene.told(&[token("a", Live)]).await, rows(&[]));
    assert_eq!(
        scene.told(&[token("a", Revoked)]).await,
        rows(&[("revoke_token", "a")])
    );
}
