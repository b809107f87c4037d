"""Answers in one file: written from many threads, read for ensembles."""

import concurrent.futures

import numpy as np
import pytest

from kennen_tf.queries.answer_file import AnswerFile

IDS = [f"c{index:05d}" for index in range(50)]
ANSWERS = np.random.default_rng(0).random((50, 7, 10), np.float32)


def test_what_threads_keep_in_any_order_is_read_and_averaged(tmp_path):
    with AnswerFile(tmp_path / "answers", IDS, (7, 10)) as file:
        with concurrent.futures.ThreadPoolExecutor(4) as executor:
            for place in np.random.default_rng(1).permutation(50):
                executor.submit(file.keep, IDS[place], ANSWERS[place])
        for place in range(50):
            np.testing.assert_array_equal(file.mean([IDS[place]]), ANSWERS[place])
        mean = file.mean([IDS[3], IDS[40], IDS[7]])
        assert mean.dtype == np.float32
        wanted = np.mean([ANSWERS[3], ANSWERS[40], ANSWERS[7]], axis=0)
        np.testing.assert_array_equal(mean, wanted)
    assert [path.name for path in tmp_path.iterdir()] == ["answers"]


@pytest.mark.parametrize("answers", [ANSWERS[0, :5], ANSWERS[0].astype(np.float64)])
def test_answers_of_another_shape_or_type_are_refused(tmp_path, answers):
    with AnswerFile(tmp_path / "answers", IDS, (7, 10)) as file:
        with pytest.raises(ValueError, match=r"float32 of shape \(7, 10\)"):
            file.keep(IDS[0], answers)
