//! Money in whole micro-dollars. Floating point stays at the edges: configuration in, display out.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::Usage;

/// An amount in micro-dollars (1 USD = 1,000,000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Micros(pub u64);

impl Micros {
    /// From US dollars, rounded to the nearest; what is negative or no number becomes zero, what is too much the most.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast saturates, and a negative amount becomes zero"
    )]
    pub fn from_usd(usd: f64) -> Self {
        Self((usd * 1_000_000.0).round() as u64)
    }

    /// In US dollars, for display.
    #[expect(clippy::cast_precision_loss, reason = "exact up to nine thousand million dollars")]
    pub fn usd(self) -> f64 {
        self.0 as f64 / 1_000_000.0
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Dollars with six decimals: `0.000123`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// What a deployment charges, in micro-dollars per million tokens (`3.0` USD per million in the
/// configuration is `3_000_000` here). A rate left out falls back to the plain rate of its side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Prompt tokens.
    pub input: u64,
    /// Generated tokens.
    pub output: u64,
    /// Prompt tokens read from the provider's prompt cache.
    pub cached_input: Option<u64>,
    /// Prompt tokens written to the provider's prompt cache.
    pub cache_write: Option<u64>,
    /// Generated tokens that were reasoning.
    pub reasoning: Option<u64>,
}

impl Price {
    /// The cost of one answer, rounded half up to a whole micro-dollar, once, over all parts.
    pub fn cost(&self, usage: &Usage) -> Micros {
        let plain_prompt = usage.prompt.saturating_sub(usage.cached).saturating_sub(usage.cache_write);
        let plain_completion = usage.completion.saturating_sub(usage.reasoning);
        let parts = [
            (plain_prompt, self.input),
            (usage.cached, self.cached_input.unwrap_or(self.input)),
            (usage.cache_write, self.cache_write.unwrap_or(self.input)),
            (plain_completion, self.output),
            (usage.reasoning, self.reasoning.unwrap_or(self.output)),
        ];
        let sum: u128 = parts.iter().map(|(tokens, rate)| u128::from(*tokens) * u128::from(*rate)).sum();
        Micros(u64::try_from((sum + 500_000) / 1_000_000).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SONNET: Price = Price {
        input: 3_000_000,
        output: 15_000_000,
        cached_input: Some(300_000),
        cache_write: Some(3_750_000),
        reasoning: None,
    };

    #[test]
    fn cost_charges_each_kind_of_token_at_its_own_rate() {
        let usage = Usage { prompt: 1_000, completion: 100, cached: 600, cache_write: 200, reasoning: 40 };
        // 200 × 3 + 600 × 0.3 + 200 × 3.75 + 100 × 15 micro-dollars
        assert_eq!(SONNET.cost(&usage), Micros(600 + 180 + 750 + 1_500));
    }

    #[test]
    fn cost_is_rounded_once_and_not_per_part() {
        let price = Price { input: 400_000, output: 400_000, ..Price::default() };
        let usage = Usage { prompt: 1, completion: 1, ..Usage::default() };
        assert_eq!(price.cost(&usage), Micros(1));
    }

    #[test]
    fn dollars_become_micro_dollars_and_back() {
        assert_eq!(Micros::from_usd(0.15), Micros(150_000));
        assert_eq!((Micros::from_usd(-1.0), Micros::from_usd(f64::NAN)), (Micros(0), Micros(0)));
        assert!((Micros(25_000_123).usd() - 25.000_123).abs() < 1e-9);
    }

    #[test]
    fn an_amount_reads_as_dollars_with_six_decimals() {
        assert_eq!(Micros(25_000_123).to_string(), "25.000123");
    }
}
