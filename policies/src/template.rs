//! Messages of rules: text with `{{ expression }}` in it.

use model::Text;

use crate::expression::{self, Environment, Fault, Inputs, Node};

/// A message in one language, checked.
#[derive(Debug, Default)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Expression(Node),
}

impl Template {
    pub fn compile(source: &str, environment: Environment) -> Result<Template, Fault> {
        let mut pieces = Vec::new();
        let (mut rest, mut at) = (source, 0);
        while let Some((before, after)) = rest.split_once("{{") {
            at += before.chars().count() + 2;
            let Some((inside, behind)) = after.split_once("}}") else {
                return Err(Fault::new(at.saturating_sub(2), "`{{` is never closed", "close it with `}}`"));
            };
            pieces.push(Piece::Text(before.to_owned()));
            let (node, _) = expression::compile(inside, environment)
                .map_err(|fault| Fault { at: at + fault.at, ..fault })?;
            pieces.push(Piece::Expression(node));
            at += inside.chars().count() + 2;
            rest = behind;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        Ok(Template { pieces })
    }

    fn expressions(&self) -> impl Iterator<Item = &Node> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Expression(node) => Some(node),
        })
    }

    /// The message; an expression without a value shows as `?`.
    pub fn render<'a>(&'a self, inputs: &Inputs<'a>) -> String {
        let mut out = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Expression(node) => match expression::evaluate(node, inputs) {
                    Ok(value) => out.push_str(&value.to_string()),
                    Err(_) => out.push('?'),
                },
            }
        }
        out
    }
}

/// A message in both languages.
#[derive(Debug, Default)]
pub(crate) struct Message {
    pub en: Template,
    pub zh: Template,
}

impl Message {
    pub fn expressions(&self) -> impl Iterator<Item = &Node> {
        self.en.expressions().chain(self.zh.expressions())
    }

    pub fn render<'a>(&'a self, inputs: &Inputs<'a>) -> Text {
        Text::new(self.en.render(inputs), self.zh.render(inputs))
    }
}
