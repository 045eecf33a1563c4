//! Scenes of roles, played once: what somebody changes by hand, and whoever is
//! asked for before there is an account.

use std::{sync::Arc, time::Duration};

use super::{
    Kind, LATE, World, accounts,
    application::{Lie, Roles, name_of},
    asked::Act,
    start,
};
use crate::{
    bridge::{
        Bridge, Failure, Session,
        clock::simulated,
        reconcile::Order,
        tests::world::{CONNECTION, DAWN, folder, lock, now},
    },
    store::{self, Drifted, Store},
};

/// A world in which nothing fails, nobody is a client and nobody has appeared.
struct Scene {
    world: Arc<World>,
    bridge: Arc<Bridge>,
    store: Arc<dyn Store>,
    session: Session,
}

const A_WHILE: Duration = Duration::from_secs(30);

/// Plays a scene, on a clock that stands still while anybody works.
fn play<F: Future<Output = ()>>(scene: impl FnOnce(Scene) -> F) {
    simulated::seed(1);
    simulated::at(DAWN);
    store::simulated::pace(Some(simulated::disk));
    let folder = folder();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let engine = runtime.handle().clone();
    runtime.block_on(async {
        simulated::begin(now());
        let app = Roles::new((Kind::Alone, Lie::Harmless), LATE);
        let world = Arc::new(World::before(Kind::Alone, app));
        world.app().draw_lag();
        let store = store::open(&folder.path().join("scene.db")).unwrap();
        let bridge = start(&world, Arc::clone(&store), engine, None).await;
        world.find_groups(&bridge, &*store).await;
        let session = bridge.own_session(CONNECTION, "client").unwrap();
        scene(Scene {
            world,
            bridge,
            store,
            session,
        })
        .await;
        simulated::stand_still();
    });
    drop(runtime);
    store::simulated::pace(None);
    simulated::end();
}

impl Scene {
    async fn ask(&self, act: Act) -> Result<bool, Failure> {
        self.world.sides[0]
            .ask(&self.session, &act)
            .await
            .expect("an id")
    }

    async fn add(&self, rank: usize, user: &str) -> Result<bool, Failure> {
        let act = Act::Add(name_of("north", rank), [user.to_owned()].into());
        self.ask(act).await
    }

    async fn remove(&self, rank: usize, user: &str) -> Result<bool, Failure> {
        let act = Act::Remove(name_of("north", rank), [user.to_owned()].into());
        self.ask(act).await
    }

    fn has(&self, user: &str) -> Option<usize> {
        self.world.app().has(user, "north")
    }

    /// Once nothing can lag any more.
    async fn reconcile(&self) -> Drifted {
        tokio::time::sleep(A_WHILE).await;
        let order = Order {
            apply: true,
            shrunk: false,
        };
        let found = self.session.reconcile(order).await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        found
    }
}

#[test]
fn a_role_raised_by_hand_is_an_extra_and_one_that_was_lowered_is_put_right() {
    play(async |scene: Scene| {
        for user in ["u0", "u1"] {
            scene.world.app().appear(user);
            assert!(!scene.ask(Act::Create(user.into())).await.unwrap());
        }
        assert!(!scene.add(1, "u0").await.unwrap());
        assert!(!scene.add(0, "u1").await.unwrap());
        assert!(!scene.add(2, "u1").await.unwrap(), "has more than that");
        assert_eq!((scene.has("u0"), scene.has("u1")), (Some(1), Some(0)));
        let settled = scene.reconcile().await;
        assert_eq!((settled.missing, settled.unasked), (0, 0), "{settled:?}");

        scene.world.app().by_hand("u0", "north", 0);
        scene.world.app().by_hand("u1", "north", 2);
        let found = scene.reconcile().await;
        assert_eq!((found.missing, found.gone, found.unasked), (1, 0, 1));
        assert_eq!((scene.has("u0"), scene.has("u1")), (Some(0), Some(0)));

        // What is only found is shown, told as long as it is more than what is asked
        // for, and taken away when that is asked for.
        scene.session.import(false, &|_| {}).await.unwrap();
        let found = scene.reconcile().await;
        assert_eq!((found.missing, found.gone, found.unasked), (0, 0, 1));
        assert!(!scene.remove(1, "u0").await.unwrap());
        assert_eq!(scene.has("u0"), Some(0), "nobody took that away");
        assert!(!scene.remove(0, "u0").await.unwrap());
        assert_eq!(scene.has("u0"), None);
    });
}

/// What the application gives by itself at the first sign-in, or somebody gave before
/// any import showed it, is no wish; what an import had found is kept.
#[test]
fn more_than_what_is_asked_for_that_nobody_had_found_gives_way_to_that() {
    play(async |scene: Scene| {
        let app = scene.world.app();
        for user in ["u1", "u2"] {
            app.appear(user);
        }
        for user in ["u0", "u1", "u2"] {
            scene.ask(Act::Create(user.into())).await.unwrap();
        }
        app.by_hand("u2", "north", 1);
        scene.session.import(false, &|_| {}).await.unwrap();
        assert!(scene.add(2, "u0").await.unwrap(), "is yet to sign in");
        app.appear("u0");
        app.by_hand("u0", "north", 1);
        app.by_hand("u1", "north", 0);
        for user in ["u1", "u2"] {
            assert!(!scene.add(2, user).await.unwrap());
        }
        scene.session.import(false, &|_| {}).await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        let have = ["u0", "u1", "u2"].map(|user| scene.has(user));
        assert_eq!(have, [Some(2), Some(2), Some(1)]);
        assert_eq!(scene.reconcile().await.unasked, 1, "u2 has more still");
        assert!(!scene.remove(1, "u2").await.unwrap());
        assert_eq!(scene.has("u2"), Some(2));
    });
}

#[test]
fn whoever_has_no_account_yet_is_answered_at_once_and_gets_the_role_when_it_appears() {
    play(async |scene: Scene| {
        let began = now();
        assert!(!scene.ask(Act::Create("u0".into())).await.unwrap());
        assert!(scene.add(1, "u0").await.unwrap(), "that is yet to be done");
        assert!(
            now() - began < 1_000,
            "nobody waits for what cannot be known"
        );
        let key = scene.bridge.connections[0].key;
        let staged = async || scene.store.counts(key).await.unwrap().staged_users;
        tokio::time::sleep(A_WHILE).await;
        assert_eq!((staged().await, scene.has("u0")), (1, None));
        scene.world.app().appear("u0");
        tokio::time::sleep(A_WHILE).await;
        assert_eq!((staged().await, scene.has("u0")), (0, Some(1)));
        assert!(accounts().len() > 1 && lock(&scene.world.found).is_empty());
    });
}

#[test]
fn who_comes_back_has_every_role_again_though_nothing_showed_the_account() {
    play(async |scene: Scene| {
        scene.world.app().appear("u0");
        scene.ask(Act::Create("u0".into())).await.unwrap();
        for rank in [0, 2] {
            scene.add(rank, "u0").await.unwrap();
        }
        let off = Act::Activate("u0".into(), false);
        assert!(!scene.ask(off).await.unwrap());
        assert_eq!(scene.has("u0"), None);
        scene.remove(0, "u0").await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        scene.ask(Act::Activate("u0".into(), true)).await.unwrap();
        tokio::time::sleep(A_WHILE).await;
        assert_eq!(scene.has("u0"), Some(2), "the one that is left");
    });
}
