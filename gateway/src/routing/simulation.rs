//! What would a threshold cost and keep? Over prompts whose answers by both models were graded.

/// A graded prompt and its score.
#[derive(Clone, Copy, Debug)]
pub struct Graded {
    /// What the classifier said.
    pub win: f64,
    /// How good the weak model's answer was.
    pub weak: f64,
    /// How good the strong model's was.
    pub strong: f64,
}

/// What one threshold does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The threshold.
    pub threshold: f64,
    /// The share that the strong model answers.
    pub share: f64,
    /// The mean grade.
    pub quality: f64,
    /// That, of what the strong model alone reaches.
    pub kept: f64,
    /// What is saved of the strong model's cost.
    pub saved: f64,
}

/// Applies a threshold; `price` is the weak model's as a share of the strong one's. None without rows.
pub fn outcome(rows: &[Graded], threshold: f64, price: f64) -> Option<Outcome> {
    let count = rows.len() as f64;
    if rows.is_empty() {
        return None;
    }
    let is_strong = |row: &&Graded| row.win >= threshold;
    let share = rows.iter().filter(is_strong).count() as f64 / count;
    let grade = |row: &Graded| if is_strong(&row) { row.strong } else { row.weak };
    let quality = rows.iter().map(grade).sum::<f64>() / count;
    let best = rows.iter().map(|row| row.strong).sum::<f64>() / count;
    let kept = if best > 0.0 { quality / best } else { 1.0 };
    Some(Outcome { threshold, share, quality, kept, saved: (1.0 - share) * (1.0 - price) })
}

/// The threshold that sends this share of the rows to the strong model. Just above every score for none.
pub fn for_share(rows: &[Graded], share: f64) -> f64 {
    let mut wins: Vec<f64> = rows.iter().map(|row| row.win).collect();
    wins.sort_by(|a, b| b.total_cmp(a));
    let wanted = (share.clamp(0.0, 1.0) * wins.len() as f64).round() as usize;
    match wanted.checked_sub(1) {
        None => wins.first().map_or(1.0, |most| most.next_up()),
        Some(last) => wins.get(last).copied().unwrap_or(0.0),
    }
}

/// The highest threshold that keeps this share of the strong model's quality; None when no threshold does.
pub fn for_quality(rows: &[Graded], kept: f64) -> Option<f64> {
    let mut sorted = rows.to_vec();
    sorted.sort_by(|a, b| b.win.total_cmp(&a.win));
    let best: f64 = sorted.iter().map(|row| row.strong).sum();
    let mut total: f64 = sorted.iter().map(|row| row.weak).sum();
    if total >= kept * best {
        return Some(for_share(rows, 0.0));
    }
    let mut rest = sorted.iter().peekable();
    while let Some(row) = rest.next() {
        total += row.strong - row.weak;
        // Rows of one score go the same way.
        let is_last = rest.peek().is_none_or(|next| next.win < row.win);
        if is_last && total >= kept * best {
            return Some(row.win);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Graded> {
        let row = |win, weak, strong| Graded { win, weak, strong };
        vec![row(0.2, 1.0, 1.0), row(0.4, 1.0, 1.0), row(0.6, 0.0, 1.0), row(0.8, 0.0, 1.0)]
    }

    #[test]
    fn a_threshold_between_easy_and_hard_keeps_everything_at_half_the_cost() {
        let found = outcome(&rows(), 0.5, 0.0).unwrap();
        let expected = Outcome { threshold: 0.5, share: 0.5, quality: 1.0, kept: 1.0, saved: 0.5 };
        assert_eq!(found, expected);
        assert_eq!(outcome(&[], 0.5, 0.0), None);
    }

    #[test]
    fn thresholds_for_a_share_or_a_quality_meet_it() {
        for share in [0.0, 0.25, 0.5, 0.75, 1.0] {
            assert_eq!(outcome(&rows(), for_share(&rows(), share), 0.0).unwrap().share, share);
        }
        assert_eq!(for_quality(&rows(), 1.0), Some(0.6));
        assert_eq!(for_quality(&rows(), 0.75), Some(0.8));
        assert_eq!(outcome(&rows(), for_quality(&rows(), 0.5).unwrap(), 0.0).unwrap().share, 0.0);
        assert_eq!(for_quality(&rows(), 1.1), None);
    }
}
