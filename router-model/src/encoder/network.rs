//! A transformer's session: which inputs it wants, and what its outputs say of a text.

use ort::session::Session;
use ort::value::Tensor;

use super::EncodeError;

/// What is read of a model's output.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Output {
    /// A vector of length 1: of `sentence_embedding`, `last_hidden_state` or whatever comes first. One for each token is
    /// averaged.
    Embedding,
    /// Probabilities, one a head: `probabilities`, or `quality` as `export_routellm.py` names it.
    Probabilities,
}

impl Output {
    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Embedding => &["sentence_embedding", "last_hidden_state"],
            Self::Probabilities => &["probabilities", "quality"],
        }
    }
}

/// A session and its interface.
#[derive(Debug)]
pub(super) struct Network {
    session: Session,
    output: Output,
    output_name: String,
    wants_mask: bool,
    wants_types: bool,
}

impl Network {
    pub(super) fn new(session: Session, output: Output) -> Result<Self, String> {
        let inputs: Vec<&str> = session.inputs().iter().map(|input| input.name()).collect();
        let known = ["input_ids", "attention_mask", "token_type_ids"];
        if let Some(strange) = inputs.iter().find(|input| !known.contains(input)) {
            return Err(format!("it wants an input `{strange}`, which is none of {}", known.join(", ")));
        }
        if !inputs.contains(&"input_ids") {
            return Err("it has no input `input_ids`".to_owned());
        }
        let wants = |name| inputs.contains(&name);
        let (wants_mask, wants_types) = (wants("attention_mask"), wants("token_type_ids"));
        let has: Vec<&str> = session.outputs().iter().map(|output| output.name()).collect();
        let found = output.names().iter().find(|name| has.contains(name));
        let found = found.or_else(|| has.first().filter(|_| output == Output::Embedding));
        let Some(output_name) = found.map(|name| (*name).to_owned()) else {
            return Err(format!("it has no output `{}`", output.names().join("` or `")));
        };
        Ok(Self { session, output, output_name, wants_mask, wants_types })
    }

    /// What it says of a text.
    pub(super) fn run(&mut self, tokens: &[i64]) -> Result<Vec<f32>, EncodeError> {
        let failed = |problem: ort::Error| EncodeError::Failed(problem.to_string());
        let length = tokens.len();
        let tensor = |values: Vec<i64>| Tensor::from_array(([1, length], values));
        let mut inputs = vec![("input_ids", tensor(tokens.to_vec()).map_err(failed)?)];
        if self.wants_mask {
            inputs.push(("attention_mask", tensor(vec![1; length]).map_err(failed)?));
        }
        if self.wants_types {
            inputs.push(("token_type_ids", tensor(vec![0; length]).map_err(failed)?));
        }
        let outputs = self.session.run(inputs).map_err(failed)?;
        let found = outputs
            .get(&self.output_name)
            .ok_or_else(|| EncodeError::Failed(format!("there is no output `{}`", self.output_name)))?;
        let (shape, values) = found.try_extract_tensor::<f32>().map_err(failed)?;
        let shape: Vec<i64> = shape.iter().copied().collect();
        match self.output {
            Output::Embedding => vector(&shape, values, length),
            Output::Probabilities => probabilities(&shape, values),
        }
    }
}

/// The mean of all tokens' vectors, or the text's own, brought to length 1.
fn vector(shape: &[i64], values: &[f32], tokens: usize) -> Result<Vec<f32>, EncodeError> {
    let size = |size: i64| usize::try_from(size).unwrap_or(0);
    let width = match shape {
        [1, width] => size(*width),
        [1, rows, width] if size(*rows) == tokens => size(*width),
        _ => return Err(EncodeError::Failed(format!("a vector of the shape {shape:?}"))),
    };
    let mut sum = vec![0.0_f32; width];
    for row in values.chunks_exact(width.max(1)) {
        sum.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
    }
    let length = sum.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !(length.is_finite() && length > f32::EPSILON) {
        return Err(EncodeError::Failed(format!("a vector of the length {length}")));
    }
    sum.iter_mut().for_each(|value| *value /= length);
    Ok(sum)
}

fn probabilities(shape: &[i64], values: &[f32]) -> Result<Vec<f32>, EncodeError> {
    if !matches!(shape, [1, heads] if usize::try_from(*heads) == Ok(values.len())) {
        return Err(EncodeError::Failed(format!("probabilities of the shape {shape:?}")));
    }
    if let Some(strange) = values.iter().find(|value| !(0.0..=1.0).contains(*value)) {
        return Err(EncodeError::Failed(format!("{strange} as a probability")));
    }
    Ok(values.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_averaged_and_the_mean_has_length_one() {
        let mean = vector(&[1, 2, 2], &[3.0, 1.0, 3.0, 7.0], 2).unwrap();
        assert_eq!(mean, [0.6, 0.8]);
        assert_eq!(vector(&[1, 2], &[3.0, 4.0], 9).unwrap(), [0.6, 0.8]);
    }

    #[test]
    fn what_has_no_direction_or_another_shape_is_no_vector() {
        for values in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            assert!(vector(&[1, 2], &values, 3).is_err());
        }
        assert!(vector(&[2, 1], &[1.0, 1.0], 3).is_err());
        assert!(vector(&[1, 3, 1], &[1.0, 1.0, 1.0], 4).is_err());
    }

    #[test]
    fn what_is_no_number_between_0_and_1_is_no_probability() {
        assert_eq!(probabilities(&[1, 2], &[0.0, 1.0]).unwrap(), [0.0, 1.0]);
        for values in [[f32::NAN, 0.5], [1.5, 0.5], [-0.1, 0.5]] {
            assert!(probabilities(&[1, 2], &values).is_err());
        }
        assert!(probabilities(&[2, 1], &[0.5, 0.5]).is_err());
    }
}
