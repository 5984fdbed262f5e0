//! The steps, in order.

#[cfg(target_os = "linux")]
mod one_device;

use std::time::{Duration, Instant};

use crate::{
    actor::Actor,
    network::{self, Network},
    order::{Done, Failure, Order, Outcome, millis, same},
    report::Reporter,
    stage::{Finding, NAMES, PHONE, Stage, TABLET, TV},
    steps::TRANSFER_BYTES,
};

/// What the phone does while all are well.
const CALLS: [(&str, Order); 12] = [
    ("typed call", Order::TypedCall),
    ("raw call", Order::RawCall),
    ("callback", Order::Callback),
    ("one-way burst", Order::Burst),
    ("transfer", Order::Transfer),
    ("list", Order::List),
    ("find", Order::Find),
    ("not found", Order::NotFound),
    ("back to origin", Order::BackToOrigin),
    ("anonymous death", Order::AnonymousDeath),
    ("introduction", Order::Introduction),
    ("third party", Order::ThirdParty),
];

/// Plays all of it; `network` says where, and is there if the devices are to use mDNS.
pub(crate) async fn run(stage: &mut Stage, reporter: &mut Reporter, network: Option<Network>) {
    let finding = choose(reporter, network);
    if !meet(stage, reporter, finding).await && finding == Finding::Mdns {
        reporter
            .note("mDNS has failed; to show the rest, the devices are told each other's addresses");
        if !meet(stage, reporter, Finding::Static).await {
            return;
        }
        return rest(stage, reporter, Finding::Static).await;
    }
    rest(stage, reporter, finding).await;
}

/// How the devices are to find each other here.
fn choose(reporter: &Reporter, network: Option<Network>) -> Finding {
    let Some(network) = network else {
        reporter.note("three devices on 127.0.0.1, told each other's addresses (--static)");
        return Finding::Static;
    };
    reporter.note(format_args!("three devices {network}"));
    match network::try_loopback_multicast() {
        Ok(()) => Finding::Mdns,
        Err(error) => {
            reporter.note(format_args!(
                "no multicast on the loopback interface here ({error}), so no mDNS: the devices are told each \
                 other's addresses"
            ));
            Finding::Static
        }
    }
}

/// Starts the devices and waits until each has found both others; whether that went well.
async fn meet(stage: &mut Stage, reporter: &mut Reporter, finding: Finding) -> bool {
    let began = Instant::now();
    let started = start(stage, finding).await;
    reporter.step("start", began, &started);
    if started.is_err() {
        return false;
    }
    let began = Instant::now();
    let found = discovery(stage, finding).await;
    reporter.step("discovery", began, &found);
    found.is_ok()
}

async fn start(stage: &mut Stage, finding: Finding) -> Outcome {
    let began = Instant::now();
    stage.end_all().await;
    // The tablet first: who is told of others is told of those that are there.
    for which in [TABLET, PHONE, TV] {
        stage.start(which, finding).await?;
    }
    let mut devices = Vec::new();
    for (which, name) in NAMES.iter().enumerate() {
        let id = stage.id(which).short();
        let actor = stage.actor(which)?;
        devices.push(format!(
            "{name} {id} (pid {})",
            actor.pid().unwrap_or_default()
        ));
    }
    let detail = format!(
        "three processes, each trusts the others: {}",
        devices.join(", ")
    );
    Ok(Done::new(began.elapsed(), detail))
}

async fn discovery(stage: &mut Stage, finding: Finding) -> Outcome {
    let [phone, tablet, tv] = stage.all()?;
    let meet = async |actor: &mut Actor| actor.ask(Order::Meet).await.map(|done| done.times);
    let (phone, tablet, tv) = tokio::join!(meet(phone), meet(tablet), meet(tv));
    let how = match finding {
        Finding::Mdns => "by mDNS",
        Finding::Static => "at the addresses they were told",
    };
    let mut times = Vec::new();
    for met in [phone, tablet, tv] {
        times.extend(met?);
    }
    let soonest = times.iter().copied().fold(f64::INFINITY, f64::min);
    let latest = times.iter().copied().fold(0.0, f64::max);
    let detail = format!(
        "{how}: each found both others and checked their keys, {soonest:.0} to {latest:.0} ms after its start"
    );
    Ok(Done {
        millis: latest,
        detail,
        times,
    })
}

async fn rest(stage: &mut Stage, reporter: &mut Reporter, finding: Finding) {
    for (step, order) in CALLS {
        let began = Instant::now();
        let outcome = match stage.actor(PHONE) {
            Ok(phone) if order == Order::Transfer => {
                let bar = reporter.bar(2 * TRANSFER_BYTES as u64);
                let outcome = phone.ask_and_show(order, &bar).await;
                bar.finish_and_clear();
                outcome
            }
            Ok(phone) => phone.ask(order).await,
            Err(failure) => Err(failure),
        };
        reporter.step(step, began, &outcome);
    }
    let began = Instant::now();
    let watched = watch(stage).await;
    reporter.step("watch", began, &watched);
    let began = Instant::now();
    let died = kill(stage).await;
    reporter.step("kill -9", began, &died);
    let began = Instant::now();
    let aftermath = ask_phone(stage, Order::Aftermath).await;
    reporter.step("after death", began, &aftermath);
    let began = Instant::now();
    let restarted = restart(stage, finding).await;
    reporter.step("restart", began, &restarted);
    #[cfg(target_os = "linux")]
    one_device::run(stage, reporter).await;
    let began = Instant::now();
    let left = leave(stage).await;
    reporter.step("leave", began, &left);
}

async fn ask_phone(stage: &mut Stage, order: Order) -> Outcome {
    stage.actor(PHONE)?.ask(order).await
}

/// Two devices watch the tablet's service.
async fn watch(stage: &mut Stage) -> Outcome {
    stage.actor(TV)?.ask(Order::Watch).await?;
    ask_phone(stage, Order::Watch).await
}

/// How long both take to be told that the tablet is gone.
async fn kill(stage: &mut Stage) -> Outcome {
    let [phone, tablet, tv] = stage.all()?;
    let pid = tablet.pid().unwrap_or_default();
    let killed = Instant::now();
    tablet.kill()?;
    let timed = async |actor: &mut Actor| {
        let told = actor.ask(Order::Told).await?;
        Ok::<_, Failure>((killed.elapsed(), told))
    };
    let (at_phone, at_tv) = tokio::join!(timed(phone), timed(tv));
    let ((phone_after, told), (tv_after, _)) = (at_phone?, at_tv?);
    let status = tablet.wait().await?;
    same("the tablet's exit code, killed", &status.code(), &None)?;
    let ms = |time: Duration| format!("{:.0} ms", millis(time));
    let detail = format!(
        "the tablet (pid {pid}) killed; phone told after {}, tv after {}: {}",
        ms(phone_after),
        ms(tv_after),
        told.detail
    );
    Ok(Done::new(phone_after.max(tv_after), detail))
}

/// The tablet comes back, and is found again.
async fn restart(stage: &mut Stage, finding: Finding) -> Outcome {
    let began = Instant::now();
    stage.start(TABLET, finding).await?;
    let up = began.elapsed();
    let found = ask_phone(stage, Order::FindAgain).await?;
    let detail = format!("up after {:.0} ms; {}", millis(up), found.detail);
    Ok(Done::new(began.elapsed(), detail))
}

/// The tablet takes leave and the phone sees it; then the others do.
async fn leave(stage: &mut Stage) -> Outcome {
    let began = Instant::now();
    let [phone, tablet, tv] = stage.all()?;
    let left = async {
        let seen = phone.ask(Order::SeeLeave).await?;
        Ok::<_, Failure>((began.elapsed(), seen))
    };
    let (gone, seen) = tokio::join!(tablet.ask(Order::Leave), left);
    gone?;
    let (after, seen) = seen?;
    let (phone_gone, tv_gone) = tokio::join!(phone.ask(Order::Leave), tv.ask(Order::Leave));
    phone_gone?;
    tv_gone?;
    for (name, actor) in ["phone", "tablet", "tv"]
        .into_iter()
        .zip([phone, tablet, tv])
    {
        same(
            &format!("exit code of {name}"),
            &actor.wait().await?.code(),
            &Some(0),
        )?;
    }
    let detail = format!(
        "the tablet said good-bye, the phone saw it after {:.0} ms: {}; all ended with 0",
        millis(after),
        seen.detail
    );
    Ok(Done::new(began.elapsed(), detail))
}
