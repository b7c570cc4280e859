"""Runs the cases of a module of CPython's own tests and writes down the verdict of each.

python_cases.py RESULTS MODULE [+CASE | -CASE]...

runs the cases of test.MODULE; of these only the ones marked with +, if there are any, and none marked with -. CASE is the id of a
case (test.test_os.FileTests.test_read), or the beginning of several up to a dot.

A line of RESULTS is a word, an id and a text with tabs between: `begun` and then `ok`, `skipped` (text: why), `failed`,
`error` (text: the traceback), `expected` or `unexpected` for each case; `error` also for what a class or module prepares;
and `end` in the end. What is begun and gets no other word did not come back.
"""
import faulthandler
import os
import re
import resource
import sys
import unittest

# Longest that one case may take before the run is given up, in seconds.
LIMIT = 120
# Descriptors that there are for cases that open all that they can.
DESCRIPTORS = (1024, 4096)


class Verdicts(unittest.TestResult):
    def __init__(self, results):
        super().__init__()
        self.results = results
        self.process = os.getpid()
        self.current = None
        self.verdict = None

    def write(self, word, name, text=''):
        # A case that forks must not go on telling in the child.
        if os.getpid() == self.process:
            text = text.replace('\\', '\\\\').replace('\n', '\\n').replace('\t', ' ')
            print(word, name, text, sep='\t', file=self.results, flush=True)

    def note(self, test, word, text=''):
        """A verdict on the case that runs, by itself or one of its parts; or on preparations, when none does."""
        if self.current is None:
            self.write(word, test.id(), text)
        elif self.verdict is None or self.verdict[0] == 'skipped':
            self.verdict = (word, text)

    def startTest(self, test):
        super().startTest(test)
        self.current, self.verdict = test, None
        self.write('begun', test.id())
        faulthandler.dump_traceback_later(LIMIT, exit=True)

    def stopTest(self, test):
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        word, text = self.verdict or ('ok', '')
        self.current = None
        self.write(word, test.id(), text)

    def addError(self, test, err):
        self.note(test, 'error', self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        self.note(test, 'failed', self._exc_info_to_string(err, test))

    def addSubTest(self, test, subtest, err):
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            self.note(test, 'failed' if failed else 'error', self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        self.note(test, 'skipped', reason)

    def addExpectedFailure(self, test, err):
        self.note(test, 'expected')

    def addUnexpectedSuccess(self, test):
        self.note(test, 'unexpected')


def among(name, marked):
    return any(name == m or name.startswith(m + '.') for m in marked)


def cases(suite, wanted, unwanted):
    """The suite without what shall not run; a suite of a class stays one, for what the class prepares."""
    kept = unittest.TestSuite()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            kept.addTest(cases(test, wanted, unwanted))
        elif (not wanted or among(test.id(), wanted)) and not among(test.id(), unwanted):
            kept.addTest(test)
    return kept


def main(results, module, *marks):
    resource.setrlimit(resource.RLIMIT_NOFILE, DESCRIPTORS)
    from test import support
    from test.support import os_helper
    # Nothing that needs the world outside, a screen, or minutes.
    support.use_resources = ['subprocess']
    # What a class or module prepares has the id "setUpClass (test.test_os.FileTests)".
    marks = [re.sub(r'^(.)\w+ \((.*)\)$', r'\1\2', mark) for mark in marks]
    wanted, unwanted = ([m[1:] for m in marks if m[0] == sign] for sign in '+-')
    with open(results, 'w', encoding='utf-8', errors='backslashreplace') as file:
        with os_helper.temp_cwd('cases', quiet=True):
            verdicts = Verdicts(file)
            suite = unittest.defaultTestLoader.loadTestsFromName('test.' + module)
            cases(suite, wanted, unwanted).run(verdicts)
        verdicts.write('end', module)


if __name__ == '__main__':
    main(*sys.argv[1:])
