//! Groups that are known by an id are called as the application calls them, and each
//! of them is shown.
use super::mirror::called;
use super::*;
use crate::store::{FoundGroup, ImportMark};

impl Scene {
    async fn import_titled(&self, groups: Vec<FoundGroup>) -> u64 {
        let mark: ImportMark = self.store.import_mark(i64::MAX).await.unwrap();
        let import = self
            .store
            .import(self.c, mark, vec![], groups, None, actor());
        import.await.unwrap().unshown
    }

    async fn follow_titles(&self, listed: &[(&str, &str)]) {
        let listed = listed
            .iter()
            .map(|(id, title)| ((*id).to_owned(), (*title).to_owned()));
        let follow = self.store.follow_titles(self.c, listed.collect(), actor());
        follow.await.unwrap();
    }

    /// Under which name a group is shown, and its version.
    async fn title(&self, name: &str) -> (String, u64) {
        let row = self.row_of(name).await;
        let (shown, version) = self.shown(ResourceType::Group, row.id).await.unwrap();
        (shown["displayName"].as_str().unwrap().to_owned(), version)
    }

    async fn titles<const N: usize>(&self, names: [&str; N]) -> Vec<String> {
        let mut titles = Vec::new();
        for name in names {
            titles.push(self.title(name).await.0);
        }
        titles
    }
}

#[tokio::test]
async fn names_that_are_changed_with_each_other_are_followed_at_once() {
    let scene = Scene::new().await;
    scene
        .import_titled(vec![
            called("g1", "A"),
            called("g2", "B"),
            called("g3", "C"),
        ])
        .await;
    let swapped = [("g1", "B"), ("g2", "A"), ("g3", "C")];
    scene.follow_titles(&swapped).await;
    assert_eq!(scene.titles(["g1", "g2", "g3"]).await, ["B", "A", "C"]);
    let before = scene.title("g1").await;
    scene.follow_titles(&swapped).await;
    assert_eq!(scene.title("g1").await, before, "nothing is news");
    assert_eq!(scene.title("g3").await.1, 1);
}

#[tokio::test]
async fn each_of_several_that_are_called_alike_is_shown_and_goes_on_being_called_so() {
    let scene = Scene::new().await;
    scene.settled_group("dev", &[]).await;
    let groups = || {
        vec![
            called("g1", "dev"),
            called("g2", "A"),
            called("g3", "A"),
            called("g4", "A (g3)"),
        ]
    };
    assert_eq!(scene.import_titled(groups()).await, 0);
    let listed = [("g1", "dev"), ("g2", "A"), ("g3", "A"), ("g4", "A (g3)")];
    let names = ["dev", "g1", "g2"];
    assert_eq!(scene.titles(names).await, ["dev", "dev (g1)", "A"]);
    scene.follow_titles(&listed).await;
    let settled = scene.titles(["dev", "g1", "g2", "g3", "g4"]).await;
    assert_eq!(settled, ["dev", "dev (g1)", "A", "A (g3) (g3)", "A (g3)"]);
    scene.follow_titles(&listed).await;
    scene.import_titled(groups()).await;
    assert_eq!(scene.titles(["dev", "g1", "g2", "g3", "g4"]).await, settled);
    // What is called otherwise leaves its name to the next.
    scene
        .follow_titles(&[("g1", "dev"), ("g2", "B"), ("g3", "A"), ("g4", "C")])
        .await;
    assert_eq!(scene.titles(["g2", "g3", "g4"]).await, ["B", "A", "C"]);
}

#[tokio::test]
async fn what_is_on_the_list_no_more_leaves_its_name_to_what_is_new_there() {
    let scene = Scene::new().await;
    scene
        .import_titled(vec![called("g3", "A"), called("g4", "B")])
        .await;
    scene.follow_titles(&[("g9", "A")]).await;
    scene.import_titled(vec![called("g9", "A")]).await;
    assert_eq!(scene.titles(["g9", "g3", "g4"]).await, ["A", "A (g3)", "B"]);
    // Where it is back, the one that has the name by now keeps it.
    let back = [("g3", "A"), ("g9", "A")];
    scene.follow_titles(&back).await;
    assert_eq!(scene.titles(["g9", "g3"]).await, ["A", "A (g3)"]);
    scene.follow_titles(&[("g3", "A")]).await;
    assert_eq!(scene.titles(["g9", "g3"]).await, ["A (g9)", "A"]);
}
