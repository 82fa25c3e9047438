"""What every neuron must do, as a suite for pytest.

Subclass it in a test file and define how to make the neuron::

    class TestMyNeuron(NeuronContract):
        stochastic = False

        def make(self):
            return MyNeuron()
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bisnn_pyro.models import CategoricalRate, Neuron, NeuronState, SpikingGLM

DTYPES = (torch.float32, torch.float64)
DRAWS: tuple[tuple[int, ...], ...] = ((), (1,), (3,), (2, 2))


class NeuronContract:
    """The tests; each is independent and takes milliseconds."""

    seed = 1234
    stochastic = False
    """Whether equal currents may give different spikes."""

    def make(self) -> Neuron:
        """Return the neuron under test; to be overridden."""
        raise NotImplementedError("define make() to return the neuron to test")

    # -- scaffolding ------------------------------------------------------------------------------

    def spikes(self, draws: tuple[int, ...] = (), dtype: torch.dtype = torch.float64) -> Tensor:
        """Input spikes ``[*S, T, B, I]``."""
        generator = torch.Generator().manual_seed(self.seed)
        return (torch.rand(*draws, 12, 3, 4, generator=generator) < 0.4).to(dtype)

    def current(self, draws: tuple[int, ...] = (), dtype: torch.dtype = torch.float64) -> Tensor:
        """Currents ``[*S, T, B, O]`` on both sides of the threshold."""
        generator = torch.Generator().manual_seed(self.seed)
        return (torch.randn(*draws, 12, 3, 5, generator=generator, dtype=torch.float64) + 0.3).to(dtype)

    def fire(self, current: Tensor, state: object = None) -> tuple[Tensor, Tensor, object]:
        """Fire after seeding the global generator, which a stochastic neuron draws from."""
        torch.manual_seed(self.seed)
        return self.make().fire(current, state)  # type: ignore[arg-type]

    # -- shapes and types -------------------------------------------------------------------------

    def test_trace_keeps_shape_and_type(self) -> None:
        """``[*S, T, B, I]`` in and out, finite."""
        for dtype in DTYPES:
            for draws in DRAWS:
                x = self.spikes(draws, dtype)
                trace, _ = self.make().trace(x, None)
                assert trace.shape == x.shape
                assert trace.dtype == dtype
                assert bool(trace.isfinite().all())

    def test_fire_keeps_shape_and_type(self) -> None:
        """Spikes and potentials are shaped and typed as the current; spikes are 0 or 1."""
        for dtype in DTYPES:
            for draws in DRAWS:
                current = self.current(draws, dtype)
                s, u, _ = self.fire(current)
                assert s.shape == u.shape == current.shape
                assert s.dtype == u.dtype == dtype
                assert bool(((s == 0) | (s == 1)).all()), "spikes other than 0 and 1"
                assert bool(u.isfinite().all())

    def test_does_not_write_to_its_inputs(self) -> None:
        """Spikes, current and states are as before."""
        neuron, x, current = self.make(), self.spikes(), self.current()
        _, synaptic = neuron.trace(x, None)
        _, _, reset = self.fire(current)
        kept = [z.clone() for z in (x, current, *synaptic, *reset)]  # type: ignore[misc]
        neuron.trace(x, synaptic)
        self.fire(current, reset)
        for before, after in zip(kept, (x, current, *synaptic, *reset), strict=True):  # type: ignore[misc]
            assert torch.equal(before, after)

    # -- time -------------------------------------------------------------------------------------

    def test_windows_with_carried_state_are_the_whole_trace(self) -> None:
        """The filter's state is all that a window needs of the past."""
        neuron, x = self.make(), self.spikes((2,))
        whole, end = neuron.trace(x, None)
        first, state = neuron.trace(x[:, :5], None)
        second, state = neuron.trace(x[:, 5:], state)
        torch.testing.assert_close(torch.cat((first, second), dim=1), whole)
        for one, other in zip(state, end, strict=True):
            torch.testing.assert_close(one, other)

    def test_windows_with_carried_state_are_the_whole_sequence_of_spikes(self) -> None:
        """Likewise for the reset; noise-free neurons only."""
        if self.stochastic:
            return
        current = self.current((2,))
        s, u, end = self.fire(current)
        s1, u1, state = self.fire(current[:, :5])
        s2, u2, state = self.fire(current[:, 5:], state)
        assert torch.equal(torch.cat((s1, s2), dim=1), s)
        torch.testing.assert_close(torch.cat((u1, u2), dim=1), u)
        for one, other in zip(state, end, strict=True):  # type: ignore[call-overload]
            torch.testing.assert_close(one, other)

    def test_causality(self) -> None:
        """What comes at step 7 changes nothing before."""
        neuron, x, current = self.make(), self.spikes(), self.current()
        later_x, later = x.clone(), current.clone()
        later_x[7:] = 1 - later_x[7:]
        later[7:] = 3 - later[7:]
        assert torch.equal(neuron.trace(x, None)[0][:7], neuron.trace(later_x, None)[0][:7])
        if not self.stochastic:
            for one, other in zip(self.fire(current)[:2], self.fire(later)[:2], strict=True):
                assert torch.equal(one[:7], other[:7])

    def test_rest_is_rest(self) -> None:
        """No input spikes, no trace."""
        trace, _ = self.make().trace(torch.zeros(6, 2, 3), None)
        assert torch.equal(trace, torch.zeros(6, 2, 3))

    # -- independence -----------------------------------------------------------------------------

    def test_traces_of_draws_and_examples_are_independent(self) -> None:
        """The batch and the draws give what each of their members gives alone."""
        neuron, x = self.make(), self.spikes((3,))
        whole, _ = neuron.trace(x, None)
        for d in range(3):
            for b in range(x.shape[-2]):
                alone, _ = neuron.trace(x[d][:, b : b + 1], None)
                torch.testing.assert_close(alone, whole[d][:, b : b + 1])

    def test_spikes_of_draws_examples_and_units_are_independent(self) -> None:
        """Noise-free: the same alone as in company.  Stochastic: equal currents, different spikes."""
        if self.stochastic:
            s, _, _ = self.fire(torch.zeros(3, 40, 3, 5))
            rows = s.transpose(1, 2).reshape(3 * 3, -1)
            assert len({tuple(row.tolist()) for row in rows}) == 9, "noise is shared by draws or examples"
            return
        current = self.current((3,))
        s, u, _ = self.fire(current)
        for d in range(3):
            for b in range(current.shape[-2]):
                for o in range(current.shape[-1]):
                    alone = self.fire(current[d][:, b : b + 1, o : o + 1])
                    assert torch.equal(alone[0], s[d][:, b : b + 1, o : o + 1])
                    torch.testing.assert_close(alone[1], u[d][:, b : b + 1, o : o + 1])

    def test_same_seed_same_bits(self) -> None:
        """By default any randomness comes from torch's global generator."""
        for one, other in zip(self.fire(self.current())[:2], self.fire(self.current())[:2], strict=True):
            assert torch.equal(one, other)
        torch.manual_seed(self.seed)
        before = torch.get_rng_state()
        self.make().fire(torch.zeros(40, 3, 5), None)
        assert torch.equal(before, torch.get_rng_state()) != self.stochastic

    def test_another_source_of_noise_replaces_the_global_generator(self) -> None:
        """All randomness comes through ``uniform``: with a source of its own spikes depend on it alone."""
        neuron, current, asked = self.make(), self.current((2,)), []

        def halves(x: Tensor) -> Tensor:
            asked.append(x.shape)
            return torch.full_like(x, 0.5)

        before = torch.get_rng_state()
        fired = [neuron.drawing(halves).fire(current, None)[0] for _ in range(2)]
        assert torch.equal(before, torch.get_rng_state()), "noise beside that of uniform()"
        assert torch.equal(*fired)
        assert bool(asked) == self.stochastic
        if neuron.recurrent:
            weight = torch.zeros(5, 5, dtype=current.dtype)
            again = neuron.drawing(halves).fire_recurrent(current, weight, None, None, through_time=False)[0]
            assert torch.equal(again, fired[0])

    # -- gradients --------------------------------------------------------------------------------

    def test_gradient_of_a_spike_is_the_surrogate_at_its_potential(self) -> None:
        """With the reset detached: ``ds_t/dI_t = surrogate(u_t)`` and nothing across steps."""
        current = self.current((2,)).requires_grad_()
        s, u, state = self.fire(current)
        weights = torch.linspace(-1, 2, s.numel(), dtype=s.dtype).reshape(s.shape)
        (gradient,) = torch.autograd.grad((s * weights).sum(), current)
        expected = self.make().surrogate.derivative(u.detach()) * weights
        assert bool((expected != 0).any())
        torch.testing.assert_close(gradient, expected)
        assert not any(z.requires_grad for z in state), "the state carries a gradient"  # type: ignore[attr-defined]

    def test_trace_is_differentiable_in_its_input(self) -> None:
        """By finite differences; the state is cut off."""
        x = self.spikes()[:5, :2, :2].clone().requires_grad_()
        neuron = self.make()
        assert torch.autograd.gradcheck(lambda z: neuron.trace(z, None)[0], x)
        assert not any(z.requires_grad for z in neuron.trace(x, None)[1])

    def test_state_detaches(self) -> None:
        """A network can carry the pair of states from window to window."""
        _, synaptic = self.make().trace(self.spikes(), None)
        _, _, reset = self.fire(self.current())
        state = NeuronState(synaptic, reset).detach()  # type: ignore[arg-type]
        assert not any(z.requires_grad for part in state for z in part or ())

    # -- lateral synapses, where it may have them -------------------------------------------------

    def fire_recurrent(
        self, current: Tensor, weight: Tensor, *states: Any, through_time: bool = False
    ) -> tuple[Tensor, Tensor, Any, Any]:
        """Fire in the same way, with lateral synapses."""
        torch.manual_seed(self.seed)
        state, heard = states or (None, None)
        return self.make().fire_recurrent(current, weight, state, heard, through_time=through_time)

    def lateral(self, draws: tuple[int, ...] = (), dtype: torch.dtype = torch.float64) -> Tensor:
        """Lateral weights ``[*S, O, O]``."""
        generator = torch.Generator().manual_seed(self.seed)
        return torch.randn(*draws, 5, 5, generator=generator, dtype=torch.float64).to(dtype)

    def test_silent_lateral_synapses_are_none(self) -> None:
        """Shapes, types, spikes and potentials are then those of ``fire``."""
        if not self.make().recurrent:
            return
        for dtype in DTYPES:
            for draws in DRAWS:
                current = self.current(draws, dtype)
                s, u, *_ = self.fire_recurrent(current, 0 * self.lateral(draws, dtype))
                plain_s, plain_u, _ = self.fire(current)
                assert s.dtype == u.dtype == dtype
                assert torch.equal(s, plain_s)
                torch.testing.assert_close(u, plain_u)

    def test_lateral_synapses_are_heard_later_and_only_in_their_draw_and_example(self) -> None:
        """A spike changes nothing before the next step, nor other draws and examples; noise-free only."""
        if not self.make().recurrent or self.stochastic:
            return
        current, weight = self.current((2,)), self.lateral((2,))
        s, u, *_ = self.fire_recurrent(current, weight)
        other = current.clone()
        other[0, 4, 1] += 5.0
        changed_s, changed_u, *_ = self.fire_recurrent(other, weight)
        assert not torch.equal(s[0, 4, 1], changed_s[0, 4, 1]), (
            "the changed current changes no spike, so the test proves nothing"
        )
        same = torch.ones(s.shape, dtype=torch.bool)
        same[0, 4:, 1] = False
        assert torch.equal(s[same], changed_s[same])
        assert torch.equal(u[same], changed_u[same])
        assert not torch.equal(u[0, 5:, 1], changed_u[0, 5:, 1])

    def test_recurrent_windows_with_carried_state_are_the_whole(self) -> None:
        """Both states are all that a window needs of the past; noise-free neurons only."""
        if not self.make().recurrent or self.stochastic:
            return
        current, weight = self.current((2,)), self.lateral((2,))
        s, u, *_ = self.fire_recurrent(current, weight)
        s1, u1, *states = self.fire_recurrent(current[:, :5], weight)
        s2, u2, *_ = self.fire_recurrent(current[:, 5:], weight, *states)
        assert torch.equal(torch.cat((s1, s2), dim=1), s)
        torch.testing.assert_close(torch.cat((u1, u2), dim=1), u)

    def test_local_gradient_of_lateral_synapses(self) -> None:
        """The surrogate's at each potential times the trace heard, in one product; nothing across steps."""
        if not self.make().recurrent:
            return
        leaves = self.current((2,)).requires_grad_(), self.lateral((2,)).requires_grad_()
        s, u, *states = self.fire_recurrent(*leaves)
        factors = torch.linspace(-1, 2, s.numel(), dtype=s.dtype).reshape(s.shape)
        drive, lateral = torch.autograd.grad((s * factors).sum(), leaves)
        slope = self.make().surrogate.derivative(u.detach())
        heard, _ = self.make().trace(s.detach(), None)
        torch.testing.assert_close(drive, slope * factors)
        expected = torch.einsum("stbo,stbi->soi", slope * factors, heard)
        torch.testing.assert_close(lateral, expected)
        assert not any(z.requires_grad for state in states for z in state)

    def test_gradient_through_time_reaches_earlier_steps(self) -> None:
        """The last steps' spikes depend on the first steps' currents, along the traces."""
        if not self.make().recurrent:
            return
        for through_time in (False, True):
            current = self.current().requires_grad_()
            s, *_ = self.fire_recurrent(current, self.lateral(), through_time=through_time)
            (gradient,) = torch.autograd.grad(s[8:].sum(), current)
            assert bool((gradient[:8] != 0).any()) == through_time

    # -- in a network -----------------------------------------------------------------------------

    def test_a_network_of_it_runs_and_learns(self) -> None:
        """End to end through two layers: finite, and every layer gets some gradient."""
        torch.manual_seed(self.seed)
        model = SpikingGLM(4, (8, 8), CategoricalRate(2), neuron=self.make(), credit="end-to-end").double()
        weights = {
            f"layers.{k}.weight": torch.randn(3, 8, n, dtype=torch.float64, requires_grad=True)
            for k, n in enumerate((4, 8))
        }
        run = model.simulate(weights, self.spikes())
        run.readouts[-1].sum().backward()
        for w in weights.values():
            assert w.grad is not None
            assert bool(w.grad.isfinite().all())
            assert bool((w.grad != 0).any())
