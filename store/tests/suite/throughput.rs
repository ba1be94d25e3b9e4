//! Prints how quickly the ledger takes entries and answers; asserts that they arrive, not how fast.
//! `cargo test --release -p store throughput -- --nocapture`; STORE_ENTRIES sets their number.

use std::time::Instant;

use domain::Micros;
use store::Owner;

use crate::databases::Place;
use crate::sample::{HOUR, NOON, batch, settled, subject};

on_both! {
    throughput_of_the_ledger
}

async fn throughput_of_the_ledger(place: &Place) {
    let store = place.open().await;
    let count =
        std::env::var_os("STORE_ENTRIES").map_or(4_000, |text| text.to_str().unwrap().parse().unwrap());
    // Over thirty days, twenty keys and four models; ids as random as real ones.
    let subjects: Vec<_> =
        (0..20).map(|number| subject(&format!("k{number}"), &format!("m{}", number % 4))).collect();
    let entry = |number: i64| {
        let mut entry =
            settled(&format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed())));
        entry.at_ms = NOON + number * 30 * 24 * HOUR / count;
        entry.subject = subjects[usize::try_from(number % 20).unwrap()].clone();
        entry
    };
    let mut seconds = 0.0;
    for first in (0..count).step_by(1_000) {
        let entries: Vec<_> = (first..count.min(first + 1_000)).map(entry).collect();
        let batch = batch(&entries);
        let started = Instant::now();
        store.ledger().apply(&batch).await.unwrap();
        seconds += started.elapsed().as_secs_f64();
    }
    let database = if place.is_sqlite() { "SQLite" } else { "PostgreSQL" };
    println!("{database}: {count} settled at {:.0}/s", f64::from(u32::try_from(count).unwrap()) / seconds);
    let mut cost = Micros(0);
    let started = Instant::now();
    for number in 0..20 {
        let key = format!("k{number}");
        cost +=
            store.ledger().spend(Owner::Key(&key), NOON + 60_000, NOON + 30 * 24 * HOUR).await.unwrap().cost;
    }
    println!(
        "{database}: a key's spend of 30 days in {:.2} ms",
        started.elapsed().as_secs_f64() * 1_000.0 / 20.0
    );
    // Entries of the first minute are too early for that window.
    let early = (0..count).filter(|number| number * 30 * 24 * HOUR / count < 60_000).count() as u64;
    assert_eq!(cost, Micros((u64::try_from(count).unwrap() - early) * 150));
    let started = Instant::now();
    assert_eq!(store.ledger().reconcile(NOON, NOON + 31 * 24 * HOUR).await.unwrap().differences, []);
    println!("{database}: reconciled in {:.0} ms", started.elapsed().as_secs_f64() * 1_000.0);
}
