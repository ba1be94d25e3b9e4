//! Prints how quickly the ledger takes entries and answers; asserts that they arrive, not how fast.
//! `cargo test --release -p store throughput -- --nocapture`; STORE_ENTRIES sets their number.

use std::time::Instant;

use domain::Micros;
use store::{LedgerEntry, Owner};

use crate::databases::Place;
use crate::sample::{HOUR, NOON, reserved, settled};

on_both! {
    throughput_of_the_ledger
}

async fn throughput_of_the_ledger(place: &Place) {
    let store = place.open().await;
    let count =
        std::env::var_os("STORE_ENTRIES").map_or(4_000, |text| text.to_str().unwrap().parse().unwrap());
    // Over thirty days, twenty keys and four models; ids as random as real ones.
    let entry = |number: i64, of: fn(&str) -> LedgerEntry| {
        let mut entry = of(&format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15_u64.cast_signed())));
        entry.at_ms = NOON + number * 30 * 24 * HOUR / count;
        entry.key_id = format!("k{}", number % 20);
        entry.model = format!("m{}", number % 4);
        entry
    };
    let mut seconds = [0.0; 2];
    for first in (0..count).step_by(1_000) {
        for (seconds, of) in seconds.iter_mut().zip([reserved as fn(&str) -> _, settled]) {
            let batch: Vec<_> = (first..count.min(first + 1_000)).map(|number| entry(number, of)).collect();
            let started = Instant::now();
            store.ledger().apply(&batch).await.unwrap();
            *seconds += started.elapsed().as_secs_f64();
        }
    }
    let database = if place.is_sqlite() { "SQLite" } else { "PostgreSQL" };
    let rate = |seconds: f64| f64::from(u32::try_from(count).unwrap()) / seconds;
    println!(
        "{database}: {count} reserved at {:.0}/s, settled at {:.0}/s",
        rate(seconds[0]),
        rate(seconds[1])
    );
    let mut cost = Micros(0);
    let started = Instant::now();
    for number in 0..20 {
        let key = format!("k{number}");
        cost += store.ledger().spend(Owner::Key(&key), NOON + 1, NOON + 30 * 24 * HOUR).await.unwrap().cost;
    }
    println!(
        "{database}: a key's spend of 30 days in {:.2} ms",
        started.elapsed().as_secs_f64() * 1_000.0 / 20.0
    );
    // The first entry is a millisecond too early for that window.
    assert_eq!(cost, Micros((u64::try_from(count).unwrap() - 1) * 150));
    let started = Instant::now();
    assert_eq!(store.ledger().reconcile(NOON, NOON + 31 * 24 * HOUR).await.unwrap(), []);
    println!("{database}: reconciled in {:.0} ms", started.elapsed().as_secs_f64() * 1_000.0);
}
