"""Train the tokenizer and the decoder: data, stages, losses, distillation, evaluation."""
