//! Connections that hang: to the API server and to a Command Center, open, and without another word.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use kube::Config;
use salesforce_backup_operator::{
    api::Phase,
    simulator::{Behaviour, Fault, Operation, Reply, When},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use crate::{
    proxy::Proxy,
    world::{NAME, World, fast_flags},
};

/// A wire before a server, whose connections can be made to hang: they stay open and carry nothing more.
struct Wire {
    port: u16,
    accepted: Arc<AtomicU64>,
    hung: Arc<AtomicU64>,
}

impl Wire {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self { port: listener.local_addr().unwrap().port(), accepted: Arc::default(), hung: Arc::default() };
        let (accepted, hung) = (Arc::clone(&wire.accepted), Arc::clone(&wire.hung));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = accepted.fetch_add(1, Ordering::SeqCst) + 1;
                let server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(carry(from_client, to_server, number, Arc::clone(&hung)));
                tokio::spawn(carry(from_server, to_client, number, Arc::clone(&hung)));
            }
        });
        wire
    }

    /// Every connection that there is hangs from now on.
    fn hang_all(&self) {
        self.hung.store(self.accepted.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

async fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, number: u64, hung: Arc<AtomicU64>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if number <= hung.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if to.write_all(buffer.get(..length).unwrap_or_default()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn connections_to_the_api_server_that_hang_freeze_no_object() {
    let mut world =
        World::without_operator(Behaviour { job_duration: Duration::from_secs(1), ..Behaviour::default() }).await;
    world.write_secret(crate::world::SECRET, &world.simulator.url(), world.simulator.token()).await;
    let proxy = Proxy::start(world.client.clone()).await;
    let port = proxy.config().cluster_url.port_u16().unwrap();
    let wire = Wire::to(port).await;
    let config = Config::new(format!("http://127.0.0.1:{}", wire.port).parse().unwrap());
    world.start_operator_with(&fast_flags(), config);
    world.create("before", &json!({"associations": [{"clientId": 11}]})).await;
    world.until_phase("before", Phase::Succeeded).await;
    world.create("during", &json!({"associations": [{"clientId": 12}]})).await;
    world.until_phase("during", Phase::Running).await;
    wire.hang_all();
    world.create("after", &json!({"associations": [{"clientId": 13}]})).await;
    // That it takes no minute is told where the time limits are.
    world.until_phase("after", Phase::Succeeded).await;
    world.until_phase("during", Phase::Succeeded).await;
    assert_eq!(world.executed(), 3);
}

#[tokio::test]
async fn an_answer_of_a_command_center_that_never_ends_is_given_up_and_other_objects_go_on() {
    let world = World::new().await;
    let endless = |operation| Fault::reply(operation, When::AfterExecuting, Reply::EndlessBody).times(1);
    world.simulator.set_faults(vec![endless(Operation::CreateTask), endless(Operation::GetJob)]);
    world.create(NAME, &json!({})).await;
    world.until_reason(NAME, "OutcomeUnknown").await;
    world.create("other", &json!({"associations": [{"clientId": 13}]})).await;
    world.until_phase("other", Phase::Succeeded).await;
    world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(world.executed(), 2);
}
