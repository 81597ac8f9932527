//! Answers as real servers, and what stands before them, give them: what is made of them, and what people are told.

use std::time::Duration;

use http::StatusCode;
use salesforce_backup_operator::{
    api::{ConditionType, Phase},
    simulator::{Behaviour, End, Fault, JobOrder, On, Operation, When},
};
use serde_json::json;

use crate::{
    faults::with_calls_that_wait,
    world::{Line, NAME, World, fast_flags},
};

fn lists_are(status: StatusCode, body: &str) -> Fault {
    Fault::answer(Operation::ListJobs, When::BeforeExecuting, status, body.to_owned())
}

#[tokio::test]
async fn a_list_without_rows_is_an_empty_one_and_the_backup_starts_at_once() {
    let world = World::with(Behaviour::default(), &fast_flags()).await;
    let empty = [
        (StatusCode::OK, "{}"),
        (StatusCode::OK, r#"{"processinginstructioninfo":{"attributes":[{"name":"WebServer"}]}}"#),
        (StatusCode::OK, r#"{"jobs":null}"#),
        (StatusCode::OK, r#"{"jobs":[]}"#),
        (StatusCode::OK, ""),
        (StatusCode::NO_CONTENT, ""),
    ];
    for (number, (status, body)) in empty.into_iter().enumerate() {
        world.simulator.set_faults(vec![lists_are(status, body)]);
        let name = format!("empty-{number}");
        world.create(&name, &json!({"associations": [{"clientId": 100 + number}]})).await;
        let started = world
            .until(&name, "attempted", |backup| {
                let attempt = backup.status.as_ref().and_then(|status| status.attempt.as_ref());
                attempt.is_some_and(|attempt| attempt.id.is_some())
            })
            .await;
        let attempt = started.status.unwrap().attempt.unwrap();
        assert_eq!(attempt.last_job_id_before, Some(0), "{status} {body}");
    }
}

/// A backup of two associations, of which the answer named one job.
async fn one_job_of_two(world: &World) -> (u64, u64) {
    world.create(NAME, &json!({"associations": [{"clientId": 12}, {"clientId": 13}]})).await;
    world.until_phase(NAME, Phase::Running).await;
    let jobs: Vec<u64> = world.simulator.ledger().iter().flat_map(|executed| executed.job_ids.clone()).collect();
    <(u64, u64)>::from(<[u64; 2]>::try_from(jobs).unwrap())
}

#[tokio::test]
async fn the_job_that_the_answer_did_not_name_is_found_by_its_task_and_decides_as_well() {
    let world =
        World::with(Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() }, &fast_flags()).await;
    let named = json!({"taskId": 30453, "jobIds": ["149806"]}).to_string();
    world.simulator.set_faults(vec![Fault::answer(Operation::CreateTask, When::AfterExecuting, StatusCode::OK, named)]);
    let (first, second) = one_job_of_two(&world).await;
    assert_eq!(first, 149_806);
    world.simulator.set_job(first, End::Completed).unwrap();
    world.until(NAME, "both jobs", |backup| backup.status.as_ref().unwrap().job_ids.len() == 2).await;
    world.simulator.set_job(second, End::Failed).unwrap();
    let failed = world.until_phase(NAME, Phase::Failed).await;
    let status = failed.status.unwrap();
    assert_eq!((status.jobs.len(), status.associations_without_job, world.executed()), (2, None, 1));
}

#[tokio::test]
async fn fewer_jobs_than_associations_are_said_when_no_other_one_is_listed() {
    let behaviour = Behaviour { job_duration: Duration::from_hours(1), ..Behaviour::default() };
    let (world, center) = with_calls_that_wait(behaviour, &["--request-timeout=5s"]).await;
    let named = json!({"taskId": 30453, "jobIds": ["149806"]}).to_string();
    world.simulator.set_faults(vec![Fault::answer(Operation::CreateTask, When::AfterExecuting, StatusCode::OK, named)]);
    world.create(NAME, &json!({"associations": [{"clientId": 12}, {"clientId": 13}]})).await;
    center.until_held().await;
    // The call goes on, and no list shows its second job.
    center.hold("/Jobs");
    center.until_held().await;
    let jobs = world.simulator.ledger().remove(0).job_ids;
    let [first, second] = <[u64; 2]>::try_from(jobs).unwrap();
    world.simulator.set_job(second, JobOrder::Vanish).unwrap();
    world.simulator.set_job(first, End::Completed).unwrap();
    center.release();
    let ended = world.until_phase(NAME, Phase::Succeeded).await;
    assert_eq!(ended.status.as_ref().unwrap().associations_without_job, Some(1));
    let told = Line::of(&ended, ConditionType::Finished).message;
    assert!(told.contains("1 of 2 associations have no job of their own"), "{told}");
}

#[tokio::test]
async fn after_a_lost_answer_a_list_that_says_nothing_has_to_say_it_twice() {
    let world = World::with(Behaviour::default(), &fast_flags()).await;
    let lost = Fault::dropped(Operation::CreateTask, When::BeforeExecuting).times(1);
    world.simulator.set_faults(vec![lost, lists_are(StatusCode::OK, "{}")]);
    world.create(NAME, &json!({})).await;
    let asked = world.until_reason(NAME, "JobListIncomplete").await;
    assert_eq!((asked.status.unwrap().phase, world.executed()), (Some(Phase::Resolving), 0));
    world
        .until(NAME, "the second attempt", |backup| {
            let attempt = backup.status.as_ref().and_then(|status| status.attempt.as_ref());
            attempt.is_some_and(|attempt| attempt.number == 2)
        })
        .await;
    world.simulator.set_faults(Vec::new());
    world.until_phase(NAME, Phase::Running).await;
    assert_eq!(world.executed(), 1);
}

#[tokio::test]
async fn whatever_keeps_the_job_list_away_is_named_with_what_to_do_about_it() {
    let world = World::with(Behaviour::default(), &fast_flags()).await;
    let denied = r#"{"errorMessage":"Access denied","errorCode":5}"#;
    let cases = [
        (StatusCode::FOUND, "", "JobListUnavailable", "redirects to another address (302)"),
        (
            StatusCode::OK,
            "<html><title>Login</title></html>",
            "JobListUnavailable",
            "a web page (200), such as a login",
        ),
        (StatusCode::PROXY_AUTHENTICATION_REQUIRED, "", "JobListUnavailable", "a proxy in between wants a name"),
        (
            StatusCode::BAD_REQUEST,
            "Client sent an HTTP request to an HTTPS server.\n",
            "JobListUnavailable",
            "https instead of http",
        ),
        (StatusCode::OK, "maintenance", "JobListUnavailable", "not JSON"),
        (StatusCode::OK, denied, "TokenRejected", "saying: Access denied"),
        (StatusCode::FORBIDDEN, r#"{"errorMessage":"No right to view jobs"}"#, "Forbidden", "No right to view jobs"),
        (StatusCode::OK, r#"{"errorCode":7,"errorMessage":"Busy"}"#, "JobListIncomplete", "error 7, saying: Busy"),
    ];
    for (number, (status, body, reason, words)) in cases.into_iter().enumerate() {
        world.simulator.set_faults(vec![lists_are(status, body)]);
        let name = format!("cause-{number}");
        world.create(&name, &json!({"associations": [{"clientId": 100 + number}]})).await;
        let told = Line::of(&world.until_reason(&name, reason).await, ConditionType::Ready);
        assert!(told.message.contains(words) && told.message.contains("To do: "), "{status}: {}", told.message);
        world.simulator.set_faults(Vec::new());
        world.until_phase(&name, Phase::Running).await;
    }
    assert_eq!(world.executed(), 8);
}

#[tokio::test]
async fn every_object_that_waits_for_a_command_center_that_is_away_says_so() {
    let world = World::with(Behaviour::default(), &fast_flags()).await;
    world.simulator.set_faults(vec![Fault::dropped(On::Any, When::BeforeExecuting)]);
    let name = |number: u32| format!("waits-{number}");
    for number in 0..8 {
        world.create(&name(number), &json!({"associations": [{"clientId": 100 + number}]})).await;
    }
    for number in 0..8 {
        world.until_reason(&name(number), "CommandCenterUnavailable").await;
    }
    world.simulator.set_faults(Vec::new());
    for number in 0..8 {
        world.until_phase(&name(number), Phase::Succeeded).await;
    }
    assert_eq!(world.executed(), 8);
}
