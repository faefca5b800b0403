"""torch.ops.distill.linear_divergence from Python: values, gradients and errors against eager torch.

    check_torch_library.py LIBDISTILL.SO
Exits with 77 (skipped) where torch is not installed.
"""
import sys

try:
    import torch
    import torch.nn.functional as F
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)


def eager(kind, beta, s, p):
    def kl(a, b):
        return (a.exp() * (a - b)).sum()

    if kind == "forward_kl":
        return kl(p, s)
    if kind == "reverse_kl":
        return kl(s, p)
    if kind == "symmetric_kl":
        return beta * kl(p, s) + (1 - beta) * kl(s, p)
    if kind == "tvd":
        return (p.exp() - s.exp()).abs().sum() / 2
    m = (beta * p.exp() + (1 - beta) * s.exp()).log()
    if kind == "skew_forward_kl":
        return kl(p, m)
    if kind == "skew_reverse_kl":
        return kl(s, (beta * s.exp() + (1 - beta) * p.exp()).log())
    assert kind == "jsd"
    return beta * kl(p, m) + (1 - beta) * kl(s, m)


def inputs():
    torch.manual_seed(3)
    return (torch.randn(20, 16).double().requires_grad_(), torch.randn(90, 16).double().requires_grad_(),
            torch.randn(20, 12).double(), torch.randn(90, 12).double())


def check_values():
    valid = torch.rand(20) < 0.7
    for kind in ("forward_kl", "reverse_kl", "jsd", "skew_forward_kl", "skew_reverse_kl",
                 "symmetric_kl", "tvd"):
        hidden, head, teacher_hidden, teacher_head = inputs()
        total = torch.ops.distill.linear_divergence(hidden, head, teacher_hidden, teacher_head, kind,
                                                    2.0, valid, 0.3)
        total.backward()
        ours = hidden.grad, head.grad
        hidden.grad = head.grad = None
        s = F.log_softmax(hidden[valid] @ head.T / 2, -1)
        p = F.log_softmax(teacher_hidden[valid] @ teacher_head.T / 2, -1)
        expected = eager(kind, 0.3, s, p) * 4
        expected.backward()
        torch.testing.assert_close(total, expected, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(ours[0], hidden.grad, rtol=1e-8, atol=1e-10)
        torch.testing.assert_close(ours[1], head.grad, rtol=1e-8, atol=1e-10)


def check_types_and_defaults():
    hidden, head, teacher_hidden, teacher_head = (x.detach().bfloat16() for x in inputs())
    total = torch.ops.distill.linear_divergence(hidden, head, teacher_hidden, teacher_head,
                                                "forward_kl")
    assert total.dtype == torch.float32 and total.dim() == 0
    three = torch.ops.distill.linear_divergence(hidden, head, teacher_hidden, teacher_head,
                                                "forward_kl", 3.0)
    assert torch.equal(total, three), "the default temperature is 3"


def check_errors():
    hidden, head, teacher_hidden, teacher_head = inputs()
    call = torch.ops.distill.linear_divergence
    for arguments, words in [
        ((hidden, head, teacher_hidden, teacher_head, "foward_kl"), "did you mean `forward_kl`"),
        ((hidden, head, teacher_hidden, teacher_head, "cross_entropy"), "compares with labels"),
        ((hidden, head, teacher_hidden, teacher_head, "jsd", 1.0, None, 1.0), "beta of jsd"),
        ((hidden, head, teacher_hidden, teacher_head, "forward_kl", 0.0), "temperature"),
        ((hidden, head[:, :3], teacher_hidden, teacher_head, "forward_kl"), "`student_head`"),
        ((hidden, head, teacher_hidden[:3], teacher_head, "forward_kl"), "`teacher` has 3 rows"),
        ((hidden, head, teacher_hidden, teacher_head, "forward_kl", 1.0, torch.ones(3)), "`valid`"),
    ]:
        try:
            call(*arguments)
        except RuntimeError as error:
            assert words in str(error), f"{words!r} is not in {str(error)!r}"
        else:
            raise AssertionError(f"nothing was thrown, expected {words!r}")


if __name__ == "__main__":
    torch.ops.load_library(sys.argv[1])
    check_values()
    check_types_and_defaults()
    check_errors()
    print("values, gradients, defaults and errors are right")
