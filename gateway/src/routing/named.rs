//! RouteLLM's model names: `router-mf-0.11593` asks for the route with this threshold.

/// RouteLLM's routers, and what the name of ours may be.
const ROUTERS: [&str; 6] = ["mf", "bert", "causal_llm", "sw_ranking", "random", "builtin"];

/// The threshold of such a name.
pub fn threshold(name: &str) -> Option<f64> {
    let (router, threshold) = name.strip_prefix("router-")?.split_once('-')?;
    let threshold = threshold.parse().ok()?;
    (ROUTERS.contains(&router) && (0.0..=1.0).contains(&threshold)).then_some(threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_routellm_carry_their_threshold() {
        assert_eq!(threshold("router-mf-0.11593"), Some(0.11593));
        assert_eq!(threshold("router-sw_ranking-1"), Some(1.0));
        for other in [
            "router-mf",
            "router-mf-",
            "router-mf-1.5",
            "router-mf-NaN",
            "router-mf--1",
            "router-x-0.5",
            "mf-0.5",
        ] {
            assert_eq!(threshold(other), None, "{other}");
        }
    }
}
