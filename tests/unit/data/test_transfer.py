import threading
from socket import socketpair

import numpy as np
import pytest

from semiseg.data.workers import receive, send


def test_values_and_arrays_arrive_as_they_were():
    value = {"a": np.arange(10**6, dtype=np.float32), "empty": np.zeros((0, 3)), "b": np.ones(3, np.uint8), "c": "text"}
    here, there = socketpair()
    with here, there:
        thread = threading.Thread(target=send, args=(there, value))
        thread.start()
        got = receive(here)
        thread.join()
    assert got.keys() == value.keys()
    for name in ("a", "empty", "b"):
        np.testing.assert_array_equal(got[name], value[name])
        assert got[name].dtype == value[name].dtype
        assert got[name].flags.writeable
    assert got["c"] == "text"


def test_the_end_of_the_writer_is_told_even_within_a_value():
    for data in (b"", b"\x02"):
        here, there = socketpair()
        with here:
            there.sendall(data)
            there.close()
            with pytest.raises(EOFError):
                receive(here)


def test_the_end_of_the_reader_is_told():
    here, there = socketpair()
    here.close()
    with there, pytest.raises(ConnectionError):
        send(there, np.zeros(10**7))
