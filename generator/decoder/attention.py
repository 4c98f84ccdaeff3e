"""The attention block: full softmax attention over all tokens of all views, then an MLP."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Attend from every token to every token; no positional embedding, no dropout."""

    def __init__(self, embed_dim: int, num_heads: int, *, qk_norm: bool) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)
        head_dim = embed_dim // num_heads
        self.q_norm = nn.RMSNorm(head_dim, eps=1e-6) if qk_norm else nn.Identity()
        self.k_norm = nn.RMSNorm(head_dim, eps=1e-6) if qk_norm else nn.Identity()

    def forward(self, tokens: Tensor) -> Tensor:
        queries, keys, values = self._heads(self.qkv(tokens), 3)
        return self._mix(queries, keys, values)

    def keys_values(self, slices: Iterable[Tensor], out: Tensor) -> tuple[Tensor, Tensor]:
        """Return keys (not yet normed) and values, (B, heads, L, head dim), of a sequence given in slices.

        They are views of `out`, (B, L, 2 D), which is overwritten.
        """
        width, start = self.qkv.in_features, 0
        for part in slices:
            stop = start + part.shape[1]
            out[:, start:stop] = F.linear(part, self.qkv.weight[width:], self.qkv.bias[width:])
            start = stop
        keys, values = self._heads(out, 2)
        return keys, values

    def attend(self, tokens: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Return what `tokens` take from all keys and values."""
        width = self.qkv.in_features
        (queries,) = self._heads(F.linear(tokens, self.qkv.weight[:width], self.qkv.bias[:width]), 1)
        return self._mix(queries, keys, values)

    def _heads(self, projected: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Split (B, L, parts*D) into `parts` tensors (B, heads, L, head dim)."""
        return projected.unflatten(2, (parts, self.num_heads, -1)).permute(2, 0, 3, 1, 4).unbind(0)

    def _mix(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Run the softmax attention and the output projection."""
        attended = F.scaled_dot_product_attention(self.q_norm(queries), self.k_norm(keys), values)
        return self.proj(attended.transpose(1, 2).flatten(2))


class MLP(nn.Module):
    """Apply a two-layer perceptron with the exact (erf) GELU."""

    def __init__(self, embed_dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, hidden)
        self.fc2 = nn.Linear(hidden, embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(tokens)))


class AttentionBlock(nn.Module):
    """Apply attention and an MLP, each behind a LayerNorm (eps 1e-6) and added to the tokens."""

    def __init__(self, embed_dim: int, num_heads: int, mlp_ratio: float, *, qk_norm: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.attn = Attention(embed_dim, num_heads, qk_norm=qk_norm)
        self.norm2 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.mlp = MLP(embed_dim, int(embed_dim * mlp_ratio))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))

    def forward_in_slices(
        self, tokens: Tensor, size: int, *, progress: Callable[[float], None] | None = None
    ) -> Tensor:
        """Return what `forward` does with temporary memory of `size` tokens beside all keys and values.

        The queries of a slice meet all keys, so slices cost nothing; `progress` gets the fraction done.
        """
        parts = [slice(start, start + size) for start in range(0, tokens.shape[1], size)]
        both = tokens.new_empty(*tokens.shape[:2], 2 * tokens.shape[2])
        keys, values = self.attn.keys_values((self.norm1(tokens[:, part]) for part in parts), both)
        out = torch.empty_like(tokens)
        for done, part in enumerate(parts):
            if progress:
                progress(done / len(parts))
            mixed = tokens[:, part] + self.attn.attend(self.norm1(tokens[:, part]), keys, values)
            out[:, part] = mixed + self.mlp(self.norm2(mixed))
        return out
